/**
 * Turns what ioredis throws into one TroupeError. The only place that reads ioredis' error texts.
 * Its errors carry the arguments of the command (a password, a whole script): they are never passed on as they are.
 */
import { untrustedCertificate } from '../config/server-access.js';
import type { ErrorReason } from '../errors/error-catalogue.js';
import { TroupeError } from '../errors/troupe-error.js';

/** Replies that say who we are not, or what we may not do. */
const unauthorized =
  /^(NOAUTH|WRONGPASS|NOPERM)\b|invalid password|user executing the script can't|ACL failure in script/i;
/** Replies of a server that is there but cannot do it now. */
const unable =
  /^(LOADING|BUSY|READONLY|MASTERDOWN|CLUSTERDOWN|MISCONF|OOM|TRYAGAIN|NOREPLICAS|UNKILLABLE)\b|max number of clients/;
/** Errors of ioredis itself about the connection. */
const disconnected =
  /Connection is closed|isn't writeable|max retries per request|Command aborted|Command timed out|Socket timeout|Socket closed/;

const tooOld = /unknown command|unknown subcommand|wrong number of arguments/i;

function codeOf(thrown: unknown): string | undefined {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** The message of whatever was thrown, without the password. */
export function redisErrorText(thrown: unknown, redact: (text: string) => string): string {
  return redact(thrown instanceof Error ? thrown.message || thrown.name : String(thrown));
}

/** Whether the server refused our credentials, or a command for want of rights. */
export function isUnauthorized(thrown: unknown): boolean {
  return thrown instanceof Error && unauthorized.test(thrown.message);
}

/** Whether the server does not offer the command, or not to us: managed servers hide CONFIG. */
export function isCommandDenied(thrown: unknown): boolean {
  const cause = thrown instanceof TroupeError ? thrown.cause : thrown;
  return cause instanceof Error && (tooOld.test(cause.message) || /^NOPERM\b/.test(cause.message));
}

/** Classifies an error of a command or of the connection. `what` is the subject of the sentence. */
export function classifyRedisError(
  thrown: unknown,
  address: string,
  redact: (text: string) => string,
): TroupeError {
  if (thrown instanceof TroupeError) return thrown;
  const text = redisErrorText(thrown, redact);
  const code = codeOf(thrown);
  const cause = new Error(text);
  if (code !== undefined) Object.assign(cause, { code });
  let reason: ErrorReason = 'internal.unexpected';
  let sentence = `Redis at ${address} refused a command: ${text}`;
  if (isUnauthorized(thrown)) {
    reason = 'redis.unauthorized';
    sentence = `Redis at ${address} refused our credentials or rights: ${text}`;
  } else if (untrustedCertificate(thrown) !== undefined) {
    reason = 'config.invalid';
    sentence = `Redis at ${address} shows a certificate that is not trusted (${text}): name the file of its authority (REDIS_CA)`;
  } else if (unable.test(text)) {
    reason = 'redis.unreachable';
    sentence = `Redis at ${address} cannot do it now: ${text}`;
  } else if (code !== undefined || disconnected.test(text)) {
    reason = 'redis.unreachable';
    sentence = `Redis at ${address} is not reachable: ${text}`;
  }
  return new TroupeError(reason, sentence, { cause });
}
