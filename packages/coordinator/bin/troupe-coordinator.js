#!/usr/bin/env node
import('../dist/main.js').catch((error) => {
  const missing = error.code === 'ERR_MODULE_NOT_FOUND' && String(error.message).includes('/dist/main.js');
  process.stderr.write(
    missing
      ? 'troupe: not built yet: run npm start (or npm run build) first\n'
      : `troupe: ${error.message}\n`,
  );
  process.exitCode = 1;
});
