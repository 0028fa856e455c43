/** Judges on how many servers the streams are kept. Pure: facts in, findings out. */
import type { Finding } from '@troupe/shared';
import type { ReplicaFacts } from '@troupe/shared/nats';
import { countOf, finding, listed } from './finding-text.js';

export function judgeReplicas({ wanted, fixed, cluster, streams }: ReplicaFacts): Finding[] {
  const copies = (count: number) => `${count} ${count === 1 ? 'copy' : 'copies'}`;
  const findings: Finding[] = [];
  const wrong = streams.filter(({ replicas }) => (fixed ? replicas !== wanted : replicas < wanted));
  if (wrong.length > 0) {
    findings.push(
      finding(
        'nats.replicas',
        'warning',
        `${countOf(wrong.length, 'stream')} should have ${copies(wanted)}: ${listed(wrong.map(({ stream, replicas }) => `${stream} has ${replicas}`))}`,
        `the leader sets it every 15 s once ${wanted} servers${cluster === undefined ? '' : ` of cluster ${cluster}`} run ` +
          "with JetStream and have room ('nats server report jetstream' shows them); " +
          'where fewer are meant, give all processes TROUPE_NATS_REPLICAS=1',
      ),
    );
  }
  const degraded = streams.filter(({ missing }) => missing.length > 0);
  if (degraded.length > 0) {
    const servers = [...new Set(degraded.flatMap(({ missing }) => missing))].sort();
    findings.push(
      finding(
        'nats.replicas',
        'warning',
        `${countOf(degraded.length, 'stream')} lack copies for now: ${listed(servers)} is away or behind`,
        'start the server again: it catches up by itself; one more that ends may stop requests meanwhile',
      ),
    );
  }
  if (findings.length > 0) return findings;
  if (cluster === undefined) return [finding('nats.replicas', 'ok', 'one server: each stream has 1 copy')];
  return [
    finding(
      'nats.replicas',
      'ok',
      `cluster ${cluster}: ${countOf(streams.length, 'stream')} with ${copies(wanted)} each`,
    ),
  ];
}
