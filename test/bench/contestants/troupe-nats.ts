import type { Contestant } from './contestant.js';
import { startTroupe } from './troupe.js';

/** Troupe by plain NATS requests, which a coordinator takes in. */
export const troupeNats: Contestant = {
  name: 'troupe-nats',
  why:
    'As troupe-sdk, but asked by binary Open Inference Protocol messages over plain NATS: messages made once, one ' +
    'subscription for all answers.',
  start: (stage) => startTroupe('nats', stage),
};
