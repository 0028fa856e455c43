/** Runs checks side by side, each within a bound: one that fails or hangs becomes a finding and stops no other. */
import { asTroupeError, type Finding } from '@troupe/shared';
import { finding } from './finding-text.js';

/** One check: the name under which its own failure is told, and what it does. */
export interface Check {
  readonly name: string;
  run(): Promise<readonly Finding[]>;
}

/** Findings shown of one check name; a cluster with a thousand faulty streams has one cause. */
const findingsAtMost = 10;
const rank = { fault: 0, warning: 1, ok: 2 } as const;

/** Findings of all checks in their order. Never rejects. */
export async function runChecks(checks: readonly Check[], boundMs: number): Promise<Finding[]> {
  const all = await Promise.all(checks.map((check) => runCheck(check, boundMs)));
  return all.flat();
}

async function runCheck({ name, run }: Check, boundMs: number): Promise<readonly Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<readonly Finding[]>((resolve) => {
    timer = setTimeout(
      () =>
        resolve([
          finding(
            name,
            'warning',
            `no result within ${boundMs / 1_000} s: the server is slow, or there is very much to look at`,
            'ask again; if it stays so, look at the load of NATS and Redis',
          ),
        ]),
      boundMs,
    );
  });
  try {
    // Also what throws before its first wait is this check's own failure.
    return shorten(await Promise.race([(async () => run())(), late]));
  } catch (thrown) {
    const { message, reason } = asTroupeError(thrown);
    const advice = reason.startsWith('redis.')
      ? 'see whether Redis runs and REDIS_URL of the coordinator is right'
      : reason.startsWith('nats.')
        ? "see the server's log, and whether the coordinator's account may use the JetStream API"
        : "see the coordinator's log";
    return [finding(name, 'fault', `could not be checked: ${message}`, advice)];
  } finally {
    clearTimeout(timer);
  }
}

/** Keeps the gravest of each check name; all of a check name stand together. */
function shorten(findings: readonly Finding[]): readonly Finding[] {
  return [...new Set(findings.map(({ check }) => check))].flatMap((check) => {
    const own = findings.filter((one) => one.check === check);
    if (own.length <= findingsAtMost) return own;
    const gravest = own.sort((a, b) => rank[a.state] - rank[b.state]);
    const state = gravest[findingsAtMost]?.state ?? 'ok';
    return [
      ...gravest.slice(0, findingsAtMost),
      finding(check, state, `and ${own.length - findingsAtMost} more like these`),
    ];
  });
}
