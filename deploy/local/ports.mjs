/** Owns choosing ports on loopback: the usual one where it is free, else the next free one. Called by cluster.mjs. */
import { createServer } from 'node:net';
import { SetupFault } from './fault.mjs';

/** How far from the usual port a free one is looked for. */
const searchCount = 200;

/**
 * Whether a server could listen there now.
 * @param {number} port
 * @returns {Promise<boolean>}
 */
export function isPortFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * @param {{ name: string, flag: string, usual: number, fixed: number | undefined, avoid?: readonly number[] }} wish
 * @returns {Promise<number>}
 */
export async function pickPort({ name, flag, usual, fixed, avoid = [] }) {
  if (fixed !== undefined) {
    if (await isPortFree(fixed)) return fixed;
    throw new SetupFault(
      `port ${fixed} for ${name} is taken: end what listens there, or choose another with ${flag} (without it, a free one is found)`,
    );
  }
  for (let port = usual; port < Math.min(usual + searchCount, 65_536); port += 1) {
    if (!avoid.includes(port) && (await isPortFree(port))) return port;
  }
  throw new SetupFault(`no free port for ${name} from ${usual} on: choose one with ${flag}`);
}
