/** Judges clocks against each other. Pure; `examine.ts` reads them. Troupe times its own waits by monotonic clocks. */
import type { Finding } from '@troupe/shared';
import type { EventClock } from '@troupe/shared/nats';
import type { RedisClockOffset } from '@troupe/shared/redis';
import { finding } from './finding-text.js';

const warnFromMs = 1_000;
const mend = 'set the clocks by NTP (timedatectl set-ntp true): times of events and logs do not fit together';

const seconds = (ms: number) => `${(Math.abs(ms) / 1_000).toFixed(1)} s`;

/** This coordinator beside Redis. What the round trip leaves open is not held against the clocks. */
export function judgeRedisClock({ offsetMs, errorMs }: RedisClockOffset): Finding[] {
  if (Math.abs(offsetMs) - errorMs > warnFromMs) {
    const way = offsetMs > 0 ? 'ahead of' : 'behind';
    return [
      finding(
        'clock.redis',
        'warning',
        `Redis is ${seconds(offsetMs)} ${way} the coordinator that answers`,
        mend,
      ),
    ];
  }
  return [
    finding(
      'clock.redis',
      'ok',
      `within ${Math.ceil(Math.abs(offsetMs) + errorMs)} ms of the coordinator that answers`,
    ),
  ];
}

/**
 * Hosts and coordinators beside NATS: each by its newest event among the last ones, as that is what tells its clock.
 * `names` are the sources that are up; the others' clocks do not matter any more.
 */
export function judgeEventClocks(clocks: readonly EventClock[], names: readonly string[]): Finding[] {
  const bySource = new Map(clocks.map((clock) => [clock.source, clock]));
  const known = names.flatMap((name) => bySource.get(name) ?? []);
  const findings = known
    .filter(({ offsetMs }) => Math.abs(offsetMs) > warnFromMs)
    .map(({ source, offsetMs, storedAt }) => {
      const way = offsetMs > 0 ? 'ahead of' : 'behind';
      return finding(
        'clock.hosts',
        'warning',
        `${source} was ${seconds(offsetMs)} ${way} NATS at its event of ${storedAt.replace(/\.\d+Z$/, 'Z')}`,
        mend,
      );
    });
  const unknown = names.filter((name) => !bySource.has(name));
  const rest = unknown.length === 0 ? '' : `; not known: ${unknown.join(', ')} (no event of late)`;
  if (findings.length > 0) return findings;
  if (known.length === 0) return [finding('clock.hosts', 'ok', `no event tells a clock yet${rest}`)];
  const most = Math.max(...known.map(({ offsetMs }) => Math.abs(offsetMs)));
  return [
    finding(
      'clock.hosts',
      'ok',
      `${known.length === 1 ? 'one process' : `${known.length} processes`} within ${Math.ceil(most)} ms of NATS by their last events${rest}`,
    ),
  ];
}
