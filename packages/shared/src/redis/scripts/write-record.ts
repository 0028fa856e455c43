import { writeScript } from '../redis-script.js';

/**
 * Compare-and-set of one record of the registry, with its audit line: a model, its tombstone or a host's settings.
 * Every change of the registry goes through here; what changes was decided by the caller from the revision that it
 * read.
 *
 * KEYS  1 hash of the records  2 registry revision  3 audit  4 epoch
 * ARGV  1 deadline  2 name of the record  3 revision that it must have ('0' where there is none)
 *       4 the writing leader's epoch, or ''  5 the record (JSON, its revision first), or '' to check only
 *       6 actor  7 action  8 subject
 * Returns  { 'written', registry revision }, { 'conflict', revision of the record } or { 'stale', highest epoch }
 *
 * Run twice, the second time is a conflict: the record has moved on.
 */
export const writeRecord = writeScript(
  'troupe-write-record',
  4,
  `
if ARGV[4] ~= '' then
  local highest = redis.call('GET', KEYS[4]) or '0'
  if tonumber(ARGV[4]) < tonumber(highest) then return {'stale', highest} end
end
local record = redis.call('HGET', KEYS[1], ARGV[2])
local revision = record and string.match(record, '^{"revision":(%d+)') or '0'
if revision ~= ARGV[3] then return {'conflict', revision} end
if ARGV[5] == '' then return {'written', redis.call('GET', KEYS[2]) or '0'} end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[5])
local registry = int(redis.call('INCR', KEYS[2]))
redis.call('XADD', KEYS[3], 'MAXLEN', '~', '10000', '*',
  'actor', ARGV[6], 'action', ARGV[7], 'subject', ARGV[8], 'revision', registry)
return {'written', registry}
`,
);
