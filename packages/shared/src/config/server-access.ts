/** How a process logs in to its servers, as plain data: a host passes it on to its runners. Files are read at use. */
import { readFileSync } from 'node:fs';
import { TroupeError } from '../errors/troupe-error.js';

/** Credentials for NATS: user and password, or a token, or a credentials file; and whom to trust. */
export interface NatsAccess {
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** Path of a `.creds` file: a user's JWT and seed. Read again at each connection, so that it may be renewed. */
  readonly credsFile?: string;
  /** Path of the PEM file with the authority that signed the servers' certificates. With it, TLS is a must. */
  readonly caFile?: string;
}

/** Errors of Node's TLS about a certificate: no retry mends them. Source: the `X509_V_ERR` names in Node's TLS docs. */
const untrusted =
  /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_.*|CERT_.*|ERR_TLS_CERT_.*|INVALID_CA|HOSTNAME_MISMATCH)$/;

/** The code of an error, or of its causes, that says that a server's certificate is not trusted. */
export function untrustedCertificate(thrown: unknown): string | undefined {
  for (let error = thrown; error instanceof Error; ) {
    const { code, cause, chainedError } = error as Error & { code?: unknown; chainedError?: unknown };
    if (typeof code === 'string' && untrusted.test(code)) return code;
    error = chainedError ?? cause;
  }
  return undefined;
}

/**
 * Reads a file of credentials or trust. Throws `config.invalid` where it cannot be read, or lacks the line that such a
 * file has: TLS and the servers say nothing that helps about a wrong one. Its content is never repeated.
 */
export function readAccessFile(path: string, what: string, mark: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new TroupeError('config.invalid', `${what} ${path} cannot be read: ${String(error)}`, {
      cause: error,
    });
  }
  if (text.includes(mark)) return text;
  throw new TroupeError('config.invalid', `${what} ${path} has no line '${mark}'`);
}

/** A line of every PEM file with a certificate. */
export const certificateMark = '-----BEGIN CERTIFICATE-----';
