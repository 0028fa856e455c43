import { writeScript } from '../redis-script.js';

/**
 * Tries every command that the other scripts use, on a key of its own, and says which the user may not run.
 *
 * KEYS  1 trial key
 * ARGV  1 deadline
 * Returns  { 'ok', command … }, those that were refused
 *
 * Leaves nothing behind: where the user may not delete, the key runs out after a second. Repeating it is harmless.
 * The texts of a refusal inside of scripts: Redis 7.0 ("can't run", "can't access"), 7.2 ("ACL failure").
 */
export const tryRights = writeScript(
  'troupe-try-rights',
  1,
  `
local refused = {'ok'}
local function try(command, ...)
  local reply = redis.pcall(command, KEYS[1], ...)
  local text = type(reply) == 'table' and reply['err'] or ''
  for _, mark in ipairs({'NOPERM', "can't run this command", "can't access at least one", 'ACL failure'}) do
    if string.find(text, mark, 1, true) then
      refused[#refused + 1] = command
      return
    end
  end
end
try('SET', '0', 'PX', 1000)
try('GET')
try('INCR')
try('PEXPIRE', 1000)
try('PTTL')
try('DEL')
try('HSET', 'a', '1')
try('HINCRBY', 'a', '1')
try('HGET', 'a')
try('HGETALL')
try('HDEL', 'a')
try('ZADD', '1', 'a')
try('ZRANGE', '0', '1')
try('ZRANGEBYSCORE', '0', '1')
try('ZREM', 'a')
try('XADD', 'MAXLEN', '~', '1', '*', 'a', '1')
redis.pcall('PEXPIRE', KEYS[1], 1000)
redis.pcall('DEL', KEYS[1])
return refused
`,
);
