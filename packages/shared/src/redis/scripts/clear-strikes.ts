import { writeScript } from '../redis-script.js';

/**
 * Forgets the strikes against a message.
 *
 * KEYS  1 strikes
 * ARGV  1 deadline  2 '<stream>:<sequence>'
 * Returns  { 'ok', '1' where there were any, else '0' }
 */
export const clearStrikes = writeScript(
  'troupe-clear-strikes',
  1,
  `
return {'ok', int(redis.call('HDEL', KEYS[1], ARGV[2]))}
`,
);
