import { writeScript } from '../redis-script.js';

/**
 * Takes or takes over a host's lease with a new fencing token.
 *
 * KEYS  1 leases  2 lease expiries  3 fence  4 epoch
 * ARGV  1 deadline  2 host  3 ttl in ms  4 report (JSON)
 * Returns  { 'ok', token, highest epoch }
 *
 * Run once more by a caller that lost the answer, it takes the lease over from itself: the higher token is the one
 * that counts, and the caller has it.
 */
export const registerHost = writeScript(
  'troupe-register-host',
  4,
  `
local token = int(redis.call('INCR', KEYS[3]))
redis.call('HSET', KEYS[1], ARGV[2], '{"token":' .. token .. ',"report":' .. ARGV[4] .. '}')
redis.call('ZADD', KEYS[2], int(now + tonumber(ARGV[3])), ARGV[2])
return {'ok', token, redis.call('GET', KEYS[4]) or '0'}
`,
);
