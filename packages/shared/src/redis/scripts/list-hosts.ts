import { readScript } from '../redis-script.js';

/**
 * Reads all leases and their expiries at one moment.
 *
 * KEYS  1 leases  2 lease expiries
 * ARGV  none
 * Returns  { now in ms, { host, lease (JSON), ... }, { host, expiry in ms, ... } }
 */
export const listHosts = readScript(
  'troupe-list-hosts',
  2,
  `
return {int(now), redis.call('HGETALL', KEYS[1]), redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')}
`,
);
