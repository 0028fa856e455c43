import { writeScript } from '../redis-script.js';

/**
 * Takes the leader lease where it is free. The key expires by itself; the highest epoch stays for ever.
 *
 * KEYS  1 leader  2 epoch
 * ARGV  1 deadline  2 owner (JSON text)  3 ttl in ms  4 epoch that the new one must be above
 * Returns  { 'elected', epoch } or { 'held', leader (JSON), remaining ms }
 *
 * Repeated by a caller that lost the answer, it finds the lease held by itself: it waits out one ttl, and no epoch
 * is given out twice.
 */
export const campaign = writeScript(
  'troupe-campaign',
  2,
  `
local leader = redis.call('GET', KEYS[1])
if leader then return {'held', leader, int(redis.call('PTTL', KEYS[1]))} end
local epoch = int(math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[4])) + 1)
redis.call('SET', KEYS[2], epoch)
redis.call('SET', KEYS[1], '{"epoch":' .. epoch .. ',"owner":' .. ARGV[2] .. '}', 'PX', ARGV[3])
return {'elected', epoch}
`,
);
