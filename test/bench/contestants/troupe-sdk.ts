import type { Contestant } from './contestant.js';
import { startTroupe } from './troupe.js';

/** Troupe by its client SDK. */
export const troupeSdk: Contestant = {
  name: 'troupe-sdk',
  why:
    'Every setting as it is by itself; one worker for each model, as the others have one session. The cluster is ' +
    'nats-server, Redis, a coordinator, a host and the runners, all on the same cores as the load generator.',
  start: (stage) => startTroupe('sdk', stage),
};
