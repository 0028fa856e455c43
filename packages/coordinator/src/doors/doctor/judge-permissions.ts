/** Judges what this coordinator's accounts on NATS and Redis may do. Pure: facts in, findings out. */
import type { Finding } from '@troupe/shared';
import type { PermissionNeed, PermissionRefusal } from '@troupe/shared/nats';
import { grantRights, type RedisRights } from '@troupe/shared/redis';
import { finding, listed } from './finding-text.js';

/** `denied`: what was tried in vain just now; `refusals`: what the server refused in the course of work. */
export function judgeNatsPermissions(
  denied: readonly PermissionNeed[],
  refusals: readonly PermissionRefusal[],
): Finding[] {
  const check = 'nats.permissions';
  const findings = denied.map(({ operation, grant, purpose }) =>
    finding(
      check,
      'fault',
      `the coordinator may not ${operation} ${operation === 'publish' ? 'to ' : ''}${grant}: ${purpose}`,
      `let its user ${operation} ${grant} in the server's permissions, and restart the coordinators`,
    ),
  );
  const tried = new Set(denied.map(({ operation, trial }) => `${operation} ${trial}`));
  const more = refusals.filter(({ operation, subject }) => !tried.has(`${operation} ${subject}`));
  if (more.length > 0 && findings.length === 0) {
    findings.push(
      finding(
        check,
        'warning',
        `NATS has refused this coordinator since its start: ${listed(more.map(({ operation, subject }) => `${operation} ${subject}`))}`,
        "compare its user's permissions with those of the page on permissions",
      ),
    );
  }
  return findings.length > 0 ? findings : [finding(check, 'ok', 'the coordinator may do what it needs')];
}

export function judgeRedisRights(rights: RedisRights): Finding[] {
  const { user, keyPattern, refused } = rights;
  const check = 'redis.permissions';
  const who = user === undefined ? 'the user' : `user ${user}`;
  if (refused.length === 0) return [finding(check, 'ok', `${who} may do what Troupe needs`)];
  return [
    finding(
      check,
      'fault',
      `${who} may not run ${listed(refused)} on the keys ${keyPattern}`,
      `run '${grantRights(rights)}', and put it into Redis' ACL file (or ACL SAVE)`,
    ),
  ];
}
