/** Turns credentials and trust into what the NATS library takes. For the link and the artifact store, which connect. */
import { type ConnectionOptions, credsAuthenticator } from 'nats';
import { certificateMark, type NatsAccess, readAccessFile } from '../config/server-access.js';
import { credentialsOf } from './server-address.js';

/** A line of every credentials file. */
const credsMark = '-----BEGIN NATS USER JWT-----';

/** Read again at each connection; the last known content where it cannot be read in the middle of being renewed. */
function renewable(path: string): () => Uint8Array {
  const read = () => Buffer.from(readAccessFile(path, 'the NATS credentials file (NATS_CREDS)', credsMark));
  let last = read();
  return () => {
    try {
      last = read();
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
              : { ca: readAccessFile(caFile, 'the CA file of NATS (NATS_CA)', certificateMark) },
        }
      : {}),
  };
}
