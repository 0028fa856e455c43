import { writeScript } from '../redis-script.js';

/**
 * Counts a strike against a message.
 *
 * KEYS  1 strikes
 * ARGV  1 deadline  2 '<stream>:<sequence>'
 * Returns  { 'ok', strikes so far }
 *
 * A caller that lost the answer and repeats the call may count one death twice: poison is then found one strike early.
 */
export const addStrike = writeScript(
  'troupe-add-strike',
  1,
  `
return {'ok', int(redis.call('HINCRBY', KEYS[1], ARGV[2], 1))}
`,
);
