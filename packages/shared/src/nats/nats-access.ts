/** Turns credentials and trust into what the NATS library takes. For the link and the artifact store, which connect. */
import { readFileSync } from 'node:fs';
import { type ConnectionOptions, credsAuthenticator } from 'nats';
import type { NatsAccess } from '../config/server-access.js';
import { TroupeError } from '../errors/troupe-error.js';
import { credentialsOf } from './server-address.js';

function readAccessFile(path: string, what: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new TroupeError('config.invalid', `${what} ${path} cannot be read: ${String(error)}`, {
      cause: error,
    });
  }
}

/** Read again at each connection; the last known content where it cannot be read in the middle of being renewed. */
function renewable(path: string): () => Uint8Array {
  let last = readAccessFile(path, 'the NATS credentials file (NATS_CREDS)');
  return () => {
    try {
      last = readFileSync(path);
    } catch {
      // The server decides whether what we had still counts.
    }
    return last;
  };
}

/**
 * Options for `connect`: credentials given apart go before those in an address. Throws `config.invalid` where a file
 * cannot be read.
 */
export function natsAccessOptions(
  servers: readonly string[],
  access: NatsAccess = {},
): Pick<ConnectionOptions, 'user' | 'pass' | 'token' | 'authenticator' | 'tls'> {
  const { user, password, token, credsFile, caFile } = access;
  const given = user !== undefined || token !== undefined || credsFile !== undefined;
  const secure = caFile !== undefined || servers.some((server) => server.startsWith('tls://'));
  return {
    ...(given ? {} : credentialsOf(servers)),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password }),
    ...(token === undefined ? {} : { token }),
    ...(credsFile === undefined ? {} : { authenticator: credsAuthenticator(renewable(credsFile)) }),
    ...(secure
      ? {
          tls:
            caFile === undefined
              ? {}
              : { ca: readAccessFile(caFile, 'the CA file of NATS (NATS_CA)').toString() },
        }
      : {}),
  };
}
