/**
 * Asks whether anything listens at the servers that the user gave, before processes are started that would wait for
 * them: at one's own desk a wrong address is likelier than a server that is still coming. Called by launch.mjs.
 */
import { connect } from 'node:net';
import { SetupFault } from './fault.mjs';

const limitMs = 5_000;
const usualPorts = { NATS_URL: 4222, REDIS_URL: 6379 };

/**
 * @param {'NATS_URL' | 'REDIS_URL'} name
 * @param {string} given one address, or several separated by commas
 */
export async function expectGivenServer(name, given) {
  const addresses = given.split(',').map((address) => address.trim());
  const faults = await Promise.all(addresses.map((address) => reach(address, usualPorts[name])));
  if (faults.includes(undefined)) return;
  const shown = addresses.map((address) => address.replace(/\/\/[^@/]*@/, '//')).join(', ');
  throw new SetupFault(
    `nothing answers at ${shown}, where ${name} points (${faults.join(', ')}): start that server, correct ${name}, or unset it to have one of our own`,
  );
}

/**
 * Why an address cannot be reached; `undefined` where it can.
 * @param {string} address
 * @param {number} usualPort
 * @returns {Promise<string | undefined>}
 */
function reach(address, usualPort) {
  return new Promise((resolve) => {
    let url;
    try {
      url = new URL(address.includes('://') ? address : `tcp://${address}`);
    } catch {
      resolve('not an address');
      return;
    }
    const socket = connect(Number(url.port || usualPort), url.hostname.replace(/^\[|\]$/g, ''));
    /** @param {string | undefined} fault */
    const end = (fault) => {
      socket.destroy();
      resolve(fault);
    };
    socket.setTimeout(limitMs, () => end(`no answer within ${limitMs} ms`));
    socket.once('connect', () => end(undefined));
    socket.once('error', (/** @type {NodeJS.ErrnoException} */ error) => end(error.code ?? error.message));
  });
}
