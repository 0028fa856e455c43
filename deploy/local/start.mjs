/** Entry of `npm start`. Checks Node before anything that an old one could not parse, then hands over to launch.mjs. */
import { nodeVersionFault } from './node-version.mjs';

const fault = nodeVersionFault(process.versions.node);
if (fault !== undefined) {
  console.error(`troupe: ${fault}`);
  process.exit(1);
}
import('./launch.mjs')
  .then(({ launch }) =>
    launch({
      argv: process.argv.slice(2),
      env: process.env,
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
    }),
  )
  .then(
    (code) => process.exit(code),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
