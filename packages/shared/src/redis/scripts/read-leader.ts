import { readScript } from '../redis-script.js';

/**
 * Reads the leader lease and how long it lasts at one moment.
 *
 * KEYS  1 leader
 * ARGV  none
 * Returns  { leader (JSON), remaining ms } or {} where nobody leads
 */
export const readLeader = readScript(
  'troupe-read-leader',
  1,
  `
local leader = redis.call('GET', KEYS[1])
if not leader then return {} end
return {leader, int(redis.call('PTTL', KEYS[1]))}
`,
);
