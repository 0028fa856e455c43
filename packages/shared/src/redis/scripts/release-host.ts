import { writeScript } from '../redis-script.js';

/**
 * Gives a host's lease up, where the token is still the current one.
 *
 * KEYS  1 leases  2 lease expiries
 * ARGV  1 deadline  2 host  3 token
 * Returns  { 'ok', '1' where it was current, else '0' }
 *
 * Repeating it is harmless: there is nothing left to release, or it is somebody else's.
 */
export const releaseHost = writeScript(
  'troupe-release-host',
  2,
  `
local lease = redis.call('HGET', KEYS[1], ARGV[2])
local token = lease and string.match(lease, '^{"token":(%d+)') or ''
if token ~= ARGV[3] then return {'ok', '0'} end
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[2])
return {'ok', '1'}
`,
);
