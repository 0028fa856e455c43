/**
 * What a Lua script is here, and the lines that all of them share. One script per file in `scripts/`.
 *
 * Invariants, cited in the scripts and in the titles of tests:
 *  S1  A write runs once or not at all. ioredis resends nothing, and sends a script again only where Redis answered
 *      that it does not know it, that is, has not run it.
 *  S2  A write runs before its command timeout is over or not at all, wherever it waited: ARGV[1] is that moment on
 *      Redis' clock. A caller that was told 'did not answer in time' knows that it will not happen any more. (It may
 *      have happened: the answer can be what was lost. A cut connection is told at once, the rest of the time runs.)
 *  S3  Checks of token, epoch and revision stand in the script that writes.
 *  S4  JSON stays text: Lua takes the one number in front of it by a pattern and never decodes the rest, because
 *      cjson turns `[]` into `{}` and rounds numbers. The number stands first for that reason.
 *  S5  Times are Redis' own. Numbers become text by `int`, since Lua's `tostring` writes 1e+15.
 */

/** A script as the connection runs it. */
export interface RedisScript {
  readonly name: string;
  readonly keyCount: number;
  readonly lua: string;
  /** Whether ARGV[1] is the deadline (S2), which the connection puts in front of the caller's arguments. */
  readonly writes: boolean;
}

/** First element of the answer of a write that came too late to run (S2); the second is Redis' time. */
export const lateMark = 'late';

const prelude = `
local function int(n) return string.format('%.0f', n) end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
`;

const deadline = `
if now >= tonumber(ARGV[1]) then return {'${lateMark}', int(now)} end
`;

/** A script that only reads. It finds Redis' time in milliseconds in `now`. */
export function readScript(name: string, keyCount: number, body: string): RedisScript {
  return { name, keyCount, lua: prelude + body, writes: false };
}

/** A script that writes: as `readScript`, and refuses to run from ARGV[1] on. Its own arguments begin at ARGV[2]. */
export function writeScript(name: string, keyCount: number, body: string): RedisScript {
  return { name, keyCount, lua: prelude + deadline + body, writes: true };
}
