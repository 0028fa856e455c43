/** Certificates for servers under test: an authority and what it signed for loopback, made by the `openssl` program. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificates {
  /** PEM files. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const program = 'openssl';

/** Whether there is a program that makes them; tests that need them skip loudly where there is none. */
export function hasOpenssl(): boolean {
  return spawnSync(program, ['version']).status === 0;
}

function openssl(dir: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { cwd: dir, encoding: 'utf8', timeout: 30_000 });
  if (status !== 0) throw new Error(`openssl ${args.join(' ')} failed:\n${stderr}`);
}

/** Makes an authority and a certificate for 127.0.0.1 and localhost in the folder. */
export function createCertificates(dir: string): Certificates {
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(dir, [
    ...['req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=Authority of a test'],
    ...['-addext', 'keyUsage=critical,keyCertSign', '-keyout', 'ca.key', '-out', 'ca.pem'],
  ]);
  openssl(dir, ['req', ...newKey, '-subj', '/CN=localhost', '-keyout', 'server.key', '-out', 'server.csr']);
  writeFileSync(join(dir, 'server.ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  openssl(dir, [
    ...['x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'],
    ...['-days', '2', '-extfile', 'server.ext', '-out', 'server.pem'],
  ]);
  return {
    caFile: join(dir, 'ca.pem'),
    certFile: join(dir, 'server.pem'),
    keyFile: join(dir, 'server.key'),
  };
}
