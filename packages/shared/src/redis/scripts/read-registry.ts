import { readScript } from '../redis-script.js';

/**
 * Reads the whole registry at one revision.
 *
 * KEYS  1 registry revision  2 models  3 host settings
 * ARGV  none
 * Returns  { revision, { name, record (JSON), ... }, { host, settings (JSON), ... } }
 */
export const readRegistry = readScript(
  'troupe-read-registry',
  3,
  `
return {redis.call('GET', KEYS[1]) or '0', redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}
`,
);
