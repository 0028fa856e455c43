import { writeScript } from '../redis-script.js';

/**
 * Gives the leader lease up, where it is still the owner's under that epoch. The epoch stays given out.
 *
 * KEYS  1 leader
 * ARGV  1 deadline  2 owner (JSON text)  3 epoch
 * Returns  { 'ok', '1' where it was the owner's, else '0' }
 */
export const resign = writeScript(
  'troupe-resign',
  1,
  `
if redis.call('GET', KEYS[1]) ~= '{"epoch":' .. ARGV[3] .. ',"owner":' .. ARGV[2] .. '}' then return {'ok', '0'} end
redis.call('DEL', KEYS[1])
return {'ok', '1'}
`,
);
