/**
 * A nats-server's configuration with an operator, and a credentials file for one of its users, as `nsc` makes them.
 * Keys and tokens by NATS' ADR-14 (JWT) and its nkeys format: base32 of prefix, key and CRC-16.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

const prefixes = { operator: 14 << 3, account: 0, user: 20 << 3 };
const seedPrefix = 18 << 3;
type Role = keyof typeof prefixes;

function crc16(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1)
      crc = ((crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021) & 0xffff;
  }
  return crc;
}

function base32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const groups = bits.match(/.{1,5}/g) ?? [];
  return groups
    .map((group) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[parseInt(group.padEnd(5, '0'), 2)])
    .join('');
}

function encodeKey(prefix: readonly number[], raw: Buffer): string {
  const body = Buffer.concat([Buffer.from(prefix), raw]);
  const check = Buffer.alloc(2);
  check.writeUInt16LE(crc16(body));
  return base32(Buffer.concat([body, check]));
}

interface Identity {
  readonly role: Role;
  readonly id: string;
  readonly seed: string;
  readonly key: KeyObject;
}

function createIdentity(role: Role): Identity {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = (key: KeyObject, part: 'x' | 'd') =>
    Buffer.from(key.export({ format: 'jwk' })[part] ?? '', 'base64url');
  const prefix = prefixes[role];
  return {
    role,
    id: encodeKey([prefix], raw(publicKey, 'x')),
    seed: encodeKey([seedPrefix | (prefix >> 5), (prefix & 31) << 3], raw(privateKey, 'd')),
    key: privateKey,
  };
}

function issueToken(issuer: Identity, subject: Identity, claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part({
    jti: subject.id,
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.id,
    name: subject.role,
    sub: subject.id,
    nats: { type: subject.role, version: 2, ...claims },
  })}`;
  return `${text}.${sign(null, Buffer.from(text), issuer.key).toString('base64url')}`;
}

/** Lines for the server's configuration, and the content of the user's credentials file. */
export function createNatsCredentials(): { readonly config: string; readonly creds: string } {
  const [operator, system, account, user] = (['operator', 'account', 'account', 'user'] as const).map(
    createIdentity,
  ) as [Identity, Identity, Identity, Identity];
  const unlimited = { subs: -1, data: -1, payload: -1 };
  const limits = { ...unlimited, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const preload = [
    `${system.id}: ${issueToken(operator, system, { limits })}`,
    `${account.id}: ${issueToken(operator, account, { limits: { ...limits, ...jetStream } })}`,
  ];
  return {
    config: `operator: ${issueToken(operator, operator, {})}
system_account: ${system.id}
resolver: MEMORY
resolver_preload: {
  ${preload.join('\n  ')}
}`,
    creds: `-----BEGIN NATS USER JWT-----
${issueToken(account, user, unlimited)}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${user.seed}
------END USER NKEY SEED------
`,
  };
}
