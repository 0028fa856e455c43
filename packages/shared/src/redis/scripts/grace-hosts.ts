import { writeScript } from '../redis-script.js';

/**
 * Gives every lease at least a ttl from now, for the leader of that epoch only. Shortens none.
 *
 * KEYS  1 lease expiries  2 leader  3 epoch
 * ARGV  1 deadline  2 the caller's epoch  3 ttl in ms
 * Returns  { 'ok', leases prolonged } or { 'stale', highest epoch }
 */
export const graceHosts = writeScript(
  'troupe-grace-hosts',
  3,
  `
local leader = redis.call('GET', KEYS[2])
local epoch = leader and string.match(leader, '^{"epoch":(%d+)') or ''
if epoch ~= ARGV[2] then return {'stale', redis.call('GET', KEYS[3]) or '0'} end
local prolonged = 0
for _, host in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  prolonged = prolonged + redis.call('ZADD', KEYS[1], 'XX', 'GT', 'CH', int(now + tonumber(ARGV[3])), host)
end
return {'ok', int(prolonged)}
`,
);
