/** Judges leader, hosts, workers, models and this process. Pure: facts in, findings out; `examine.ts` reads them. */
import type { Finding, HostLease, RoutingEntry } from '@troupe/shared';
import { countOf, finding, listed } from './finding-text.js';

export interface LeaderFacts {
  readonly owner: string;
  readonly epoch: number;
}

export function judgeLeader(leader: LeaderFacts | undefined, routes: readonly RoutingEntry[]): Finding[] {
  if (leader === undefined) {
    return [
      finding(
        'cluster.leader',
        'fault',
        'no coordinator leads: nothing is placed, moved or routed anew',
        "look at the coordinators' logs; a term is given back within seconds where Redis answers",
      ),
    ];
  }
  const found = `${leader.owner} leads under epoch ${leader.epoch}`;
  const ahead = routes.filter(({ epoch }) => epoch > leader.epoch);
  const behind = routes.filter(({ epoch }) => epoch < leader.epoch);
  const models = (list: readonly RoutingEntry[]) => listed(list.map(({ model }) => model));
  if (ahead.length > 0) {
    return [
      finding(
        'cluster.leader',
        'fault',
        `${found}, but routes have a higher one: ${models(ahead)}`,
        'restart the coordinators one by one: a new term starts above every epoch that is in use',
      ),
    ];
  }
  if (behind.length > 0) {
    return [
      finding(
        'cluster.leader',
        'warning',
        `${found}, and routes still have a lower one: ${models(behind)}`,
        "ask again in some seconds: a new leader publishes all routes anew; if it stays, see the leader's log",
      ),
    ];
  }
  return [finding('cluster.leader', 'ok', `${found}, which is that of ${countOf(routes.length, 'route')}`)];
}

/** Leases: who renews late may be lost in a moment. `leaderEpoch` is absent where nobody leads. */
export function judgeHosts(
  hosts: readonly HostLease[],
  ttlMs: number,
  leaderEpoch: number | undefined,
): Finding[] {
  if (hosts.length === 0) {
    return [finding('hosts.leases', 'fault', 'no host is up: nothing is served', 'start one: troupe-worker')];
  }
  const findings = hosts.flatMap(({ host, remainingMs, report }) => {
    if (leaderEpoch !== undefined && report.epoch > leaderEpoch) {
      return [
        finding(
          'hosts.leases',
          'fault',
          `host ${host} has seen epoch ${report.epoch} and refuses the leader's ${leaderEpoch}`,
          'restart the coordinators one by one: a new term starts above every epoch that is in use',
        ),
      ];
    }
    if (remainingMs <= 0) {
      return [
        finding(
          'hosts.leases',
          'fault',
          `the lease of host ${host} lapsed ${Math.round(-remainingMs)} ms ago`,
          'see whether its process runs and reaches Redis; its work goes to other hosts',
        ),
      ];
    }
    if (remainingMs < ttlMs / 3) {
      return [
        finding(
          'hosts.leases',
          'warning',
          `the lease of host ${host} ends in ${Math.round(remainingMs)} ms of ${ttlMs}: it renews late`,
          'ask again; if it stays so, its machine is overloaded or its way to Redis slow (TROUPE_LEASE_TTL_MS)',
        ),
      ];
    }
    return [];
  });
  if (findings.length > 0) return findings;
  const stopping = hosts.filter(({ report }) => report.stopping).map(({ host }) => host);
  const tail = stopping.length === 0 ? '' : `; stopping: ${listed(stopping)}`;
  return [finding('hosts.leases', 'ok', `${countOf(hosts.length, 'host')}, leases renewed in time${tail}`)];
}

/** Versions of Troupe on the hosts beside this coordinator's, and of ONNX Runtime among the hosts. */
export function judgeVersions(hosts: readonly HostLease[], troupeVersion: string): Finding[] {
  const findings = hosts
    .filter(({ report }) => report.troupeVersion !== troupeVersion)
    .map(({ host, report }) =>
      finding(
        'hosts.versions',
        'warning',
        `host ${host} runs Troupe ${report.troupeVersion}, this coordinator ${troupeVersion}`,
        'bring all processes to one version, hosts last',
      ),
    );
  const runtimes = [...new Set(hosts.map(({ report }) => report.runtimeVersion))].sort();
  if (runtimes.length > 1) {
    findings.push(
      finding(
        'hosts.versions',
        'warning',
        `hosts differ in ONNX Runtime: ${runtimes.join(', ')}`,
        'install one version: a model that loads on one may fail on the other, and answers may differ slightly',
      ),
    );
  }
  if (findings.length > 0) return findings;
  const runtime = runtimes.length === 0 ? '' : `, ONNX Runtime ${runtimes[0]}`;
  return [finding('hosts.versions', 'ok', `Troupe ${troupeVersion}${runtime} everywhere`)];
}

export function judgeWorkers(hosts: readonly HostLease[]): Finding[] {
  const workers = hosts.flatMap(({ host, report }) => report.workers.map((worker) => ({ host, worker })));
  const findings = workers.flatMap(({ host, worker }) => {
    const who = `${worker.model} v${worker.version} on ${host} ${worker.device}`;
    if (worker.state === 'fallback') {
      const why = worker.reason === undefined ? '' : `: ${worker.reason}`;
      const serves = worker.servingVersion;
      const mend = `mend the cause, then: troupe models retry ${worker.model} ${worker.version}`;
      return serves === undefined
        ? [finding('workers', 'fault', `${who} failed and serves nothing${why}`, mend)]
        : [finding('workers', 'warning', `${who} fell back to version ${serves}${why}`, mend)];
    }
    if (!worker.natsConnected && worker.state !== 'loading') {
      return [
        finding(
          'workers',
          'fault',
          `${who} has no connection to NATS`,
          `see whether host ${host} reaches NATS: address, credentials, firewall; it tries again by itself`,
        ),
      ];
    }
    return [];
  });
  if (findings.length > 0) return findings;
  const states = new Map<string, number>();
  for (const { worker } of workers) states.set(worker.state, (states.get(worker.state) ?? 0) + 1);
  const shown = [...states].map(([state, count]) => `${count} ${state}`);
  return [finding('workers', 'ok', shown.length === 0 ? 'none yet' : shown.join(', '))];
}

/** Versions that are routed but cannot be served. */
export function judgeModels(routes: readonly RoutingEntry[]): Finding[] {
  const findings = routes.flatMap(({ model, versions }) =>
    Object.entries(versions).flatMap(([version, route]) => {
      const why = route.reason === undefined ? '' : `: ${route.reason}`;
      const what = `${model} v${version}`;
      if (route.state === 'failed') {
        return [
          finding(
            'models',
            'fault',
            `${what} failed${why}`,
            `mend the cause, then: troupe models retry ${model} ${version}`,
          ),
        ];
      }
      if (route.state === 'unplaced') {
        return [
          finding(
            'models',
            'fault',
            `${what} has no worker${why}`,
            'give a host more slots (troupe scale <host> <slots>), or start another host',
          ),
        ];
      }
      if (route.state === 'ready' && route.serving < route.wanted) {
        return [
          finding(
            'models',
            'ok',
            `${what} is served by ${route.serving} of ${route.wanted} workers`,
            'another host or device makes room for the rest',
          ),
        ];
      }
      return [];
    }),
  );
  if (findings.length > 0) return findings;
  return [
    finding(
      'models',
      'ok',
      routes.length === 0 ? 'none is registered yet' : `${countOf(routes.length, 'model')} served as wanted`,
    ),
  ];
}

/** File descriptors of a process; absent where the system does not tell. */
export interface FileFacts {
  /** Soft limit; absent where there is none. */
  readonly limit?: number;
  readonly open: number;
}

const fewFiles = 1_024;

export function judgeFiles(files: FileFacts | undefined): Finding[] {
  if (files === undefined) {
    return [finding('process.files', 'ok', 'this system does not tell the limit of file descriptors')];
  }
  const { open, limit } = files;
  if (limit === undefined) return [finding('process.files', 'ok', `${open} open, without a limit`)];
  const found = `${open} of ${limit} file descriptors are open in the coordinator that answers`;
  const mend =
    'raise the limit where the coordinator is started: ulimit -n 65536, or LimitNOFILE= in its unit';
  if (open >= limit * 0.9) return [finding('process.files', 'fault', found, mend)];
  if (limit < fewFiles || open >= limit * 0.7) return [finding('process.files', 'warning', found, mend)];
  return [finding('process.files', 'ok', found)];
}
