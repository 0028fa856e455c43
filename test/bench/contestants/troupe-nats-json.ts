import type { Contestant } from './contestant.js';
import { startTroupe } from './troupe.js';

/** Troupe by plain NATS requests in JSON, as a person would write them. */
export const troupeNatsJson: Contestant = {
  name: 'troupe-nats-json',
  why: 'As troupe-nats, but JSON both ways: what tensors cost as text.',
  start: (stage) => startTroupe('nats-json', stage),
};
