/** The command line as a process of its own, run from its sources. Started by cli-run.integration.test.ts. */
import { main } from '../../src/cli/main.js';

await main();
