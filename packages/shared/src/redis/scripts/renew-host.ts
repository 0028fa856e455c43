import { writeScript } from '../redis-script.js';

/**
 * Renews a host's lease and replaces its report, where the token is still the current one. A lease that has lapsed
 * but was not swept can still be renewed.
 *
 * KEYS  1 leases  2 lease expiries  3 epoch
 * ARGV  1 deadline  2 host  3 token  4 ttl in ms  5 report (JSON)
 * Returns  { 'ok', highest epoch } or { 'fenced', current token or '' }
 *
 * Repeating it is harmless: the lease then ends one ttl after the last time.
 */
export const renewHost = writeScript(
  'troupe-renew-host',
  3,
  `
local lease = redis.call('HGET', KEYS[1], ARGV[2])
local token = lease and string.match(lease, '^{"token":(%d+)') or ''
if token ~= ARGV[3] then return {'fenced', token} end
redis.call('HSET', KEYS[1], ARGV[2], '{"token":' .. token .. ',"report":' .. ARGV[5] .. '}')
redis.call('ZADD', KEYS[2], int(now + tonumber(ARGV[4])), ARGV[2])
return {'ok', redis.call('GET', KEYS[3]) or '0'}
`,
);
