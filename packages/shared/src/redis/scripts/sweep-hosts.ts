import { writeScript } from '../redis-script.js';

/**
 * Removes the leases that have lapsed, for the leader of that epoch only.
 *
 * KEYS  1 leases  2 lease expiries  3 leader  4 epoch
 * ARGV  1 deadline  2 the caller's epoch
 * Returns  { 'ok', now in ms, { host, lease (JSON), expiry in ms, ... } } or { 'stale', highest epoch }
 *
 * Repeating it finds nothing more to remove.
 */
export const sweepHosts = writeScript(
  'troupe-sweep-hosts',
  4,
  `
local leader = redis.call('GET', KEYS[3])
local epoch = leader and string.match(leader, '^{"epoch":(%d+)') or ''
if epoch ~= ARGV[2] then return {'stale', redis.call('GET', KEYS[4]) or '0'} end
local removed = {}
local lapsed = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', int(now), 'WITHSCORES')
for i = 1, #lapsed, 2 do
  local host, expiry = lapsed[i], lapsed[i + 1]
  local lease = redis.call('HGET', KEYS[1], host)
  redis.call('HDEL', KEYS[1], host)
  redis.call('ZREM', KEYS[2], host)
  if lease then
    removed[#removed + 1] = host
    removed[#removed + 1] = lease
    removed[#removed + 1] = expiry
  end
end
return {'ok', int(now), removed}
`,
);
