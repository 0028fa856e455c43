import { writeScript } from '../redis-script.js';

/**
 * Prolongs the leader lease, where it is still the owner's under that epoch.
 *
 * KEYS  1 leader
 * ARGV  1 deadline  2 owner (JSON text)  3 epoch  4 ttl in ms
 * Returns  { 'ok', '1' where it was prolonged, else '0' }
 */
export const renewLeader = writeScript(
  'troupe-renew-leader',
  1,
  `
if redis.call('GET', KEYS[1]) ~= '{"epoch":' .. ARGV[3] .. ',"owner":' .. ARGV[2] .. '}' then return {'ok', '0'} end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'ok', '1'}
`,
);
