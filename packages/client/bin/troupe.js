#!/usr/bin/env node
import('../dist/cli/main.js').then(
  (cli) => cli.main(),
  (error) => {
    const unbuilt = error.code === 'ERR_MODULE_NOT_FOUND';
    console.error(unbuilt ? 'troupe: not built yet: run npm start (or npm run build) first' : error);
    process.exitCode = 1;
  },
);
