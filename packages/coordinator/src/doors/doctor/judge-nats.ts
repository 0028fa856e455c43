/** Judges what was read of NATS. Pure: facts in, findings out; `examine.ts` reads the facts. */
import type { Finding, RoutingEntry } from '@troupe/shared';
import type {
  JetStreamFacts,
  NatsServerFacts,
  RecordStreamFacts,
  SettingDifference,
  WorkStreamFacts,
} from '@troupe/shared/nats';
import { atLeast, countOf, finding, listed, mebibytes } from './finding-text.js';

const oldestNats = '2.9.10';
/** Versions from here on are maintained, and report more of themselves. */
const recommendedNats = '2.10.0';
const wantedPayloadBytes = 8_000_000;
/** Share of a limit from which its end is near. */
const nearRatio = 0.8;

export function judgeNatsServer({ version, maxPayloadBytes, cluster }: NatsServerFacts): Finding[] {
  const where = cluster === undefined ? 'one server' : `a server of cluster ${cluster}`;
  const found = `nats-server ${version}, ${where}`;
  const versionFinding = !atLeast(version, oldestNats)
    ? finding('nats.version', 'fault', found, `Troupe needs ${oldestNats} or newer: upgrade nats-server`)
    : !atLeast(version, recommendedNats)
      ? finding('nats.version', 'ok', found, '2.10 or newer is recommended: 2.9 gets no fixes any more')
      : finding('nats.version', 'ok', found);
  const payload = `a message may have ${mebibytes(maxPayloadBytes)}`;
  return [
    versionFinding,
    maxPayloadBytes < wantedPayloadBytes
      ? finding(
          'nats.payload',
          'warning',
          `${payload}: larger requests and answers are refused`,
          "put 'max_payload: 8MB' into the server's configuration and reload it (nats-server --signal reload)",
        )
      : finding('nats.payload', 'ok', payload),
  ];
}

export function judgeJetStream(facts: JetStreamFacts): Finding[] {
  const limits: readonly [string, number, number | undefined, (value: number) => string][] = [
    ['memory', facts.memoryBytes, facts.memoryLimitBytes, mebibytes],
    ['file storage', facts.storageBytes, facts.storageLimitBytes, mebibytes],
    ['streams', facts.streamCount, facts.streamLimit, String],
    ['consumers', facts.consumerCount, facts.consumerLimit, String],
  ];
  const found = limits.map(([what, used, limit, show]) =>
    limit === undefined ? `${what} ${show(used)}` : `${what} ${show(used)} of ${show(limit)}`,
  );
  const full = limits.filter(([, used, limit]) => limit !== undefined && used >= limit);
  const near = limits.filter(([, used, limit]) => limit !== undefined && used >= limit * nearRatio);
  const names = (list: typeof limits) => list.map(([what]) => what).join(', ');
  if (full.length > 0) {
    return [
      finding(
        'nats.jetstream',
        'fault',
        `in use: ${found.join(', ')}`,
        `raise the account's limit of ${names(full)} in the server's configuration`,
      ),
    ];
  }
  if (near.length > 0) {
    return [
      finding(
        'nats.jetstream',
        'warning',
        `in use: ${found.join(', ')}`,
        `the limit of ${names(near)} is near: raise it in the server's configuration`,
      ),
    ];
  }
  return [finding('nats.jetstream', 'ok', `in use: ${found.join(', ')}`)];
}

const showDifferences = (differences: readonly SettingDifference[]) =>
  differences.map(({ setting, found, expected }) => `${setting} is ${found}, not ${expected}`).join('; ');

/** Differences that keep nothing from working: a limit of a deleted version. */
const bearable: readonly string[] = ['max_msgs_per_subject'];

/** `askedBytes` is the share that each model's stream asks for. */
export function judgeWorkStreams(streams: readonly WorkStreamFacts[], askedBytes: number): Finding[] {
  const findings = streams
    .filter(({ differences }) => differences.length > 0)
    .map(({ stream, differences }) =>
      finding(
        'work.streams',
        differences.every(({ setting }) => bearable.includes(setting)) ? 'warning' : 'fault',
        `stream ${stream}: ${showDifferences(differences)}`,
        `put it back with 'nats stream edit ${stream}', or give all processes the same TROUPE_QUEUE_LIMIT; ` +
          'while nothing waits in it the stream may be removed: workers declare it again',
      ),
    );
  const short = streams.filter(({ maxBytes }) => maxBytes === undefined || maxBytes < askedBytes);
  if (short.length > 0) {
    findings.push(
      finding(
        'work.streams',
        'warning',
        `${countOf(short.length, 'stream')} got less than the ${mebibytes(askedBytes)} of memory that each asks for: ${listed(short.map(({ model }) => model))}`,
        "raise max_memory_store in the 'jetstream' block of the server, or lower TROUPE_STREAM_BYTES",
      ),
    );
  }
  if (findings.length > 0) return findings;
  const reserved = streams.reduce((sum, { maxBytes = 0 }) => sum + maxBytes, 0);
  const found = `${countOf(streams.length, 'stream')} as declared; they reserve ${mebibytes(reserved)} of memory`;
  return [finding('work.streams', 'ok', streams.length === 0 ? 'no model has a stream yet' : found)];
}

export function judgeWorkConsumers(streams: readonly WorkStreamFacts[]): Finding[] {
  const findings = streams.flatMap(({ stream, consumers }) =>
    consumers
      .filter(({ differences }) => differences.length > 0)
      .map(({ name, differences }) =>
        finding(
          'work.consumers',
          'fault',
          `consumer ${name} of ${stream}: ${showDifferences(differences)}`,
          `remove it with 'nats consumer rm ${stream} ${name}': workers declare it again within seconds; ` +
            'give all hosts and coordinators the same TROUPE_ACK_WAIT_MS',
        ),
      ),
  );
  if (findings.length > 0) return findings;
  const count = streams.reduce((sum, { consumers }) => sum + consumers.length, 0);
  return [
    finding(
      'work.consumers',
      'ok',
      count === 0 ? 'no version has a consumer yet' : `${countOf(count, 'consumer')} as declared`,
    ),
  ];
}

/** Messages that nobody reads, and versions that should have a consumer and have none. */
export function judgeStranded(
  streams: readonly WorkStreamFacts[],
  entry: (model: string) => RoutingEntry | undefined,
  consumerOf: (version: number) => string,
): Finding[] {
  const findings = streams.flatMap(({ stream, model, queued, consumers }) => {
    const read = new Set(consumers.map(({ name }) => name));
    return [...queued]
      .filter(([version]) => !read.has(consumerOf(version)))
      .map(([version, count]) => {
        const what = `${countOf(count, 'message')} for ${model} v${version}`;
        return entry(model)?.versions[String(version)] === undefined
          ? finding(
              'work.stranded',
              'fault',
              `${what} in ${stream}, which no worker reads and no route leads to`,
              `put a label on version ${version} to have it served, or remove them: nats stream purge ${stream} --subject '*.work.${model}.${version}.*'`,
            )
          : finding(
              'work.stranded',
              'warning',
              `${what} in ${stream}, which no worker reads yet`,
              `see 'troupe models show ${model}' for why the version is not served`,
            );
      });
  });
  return findings.length > 0
    ? findings
    : [finding('work.stranded', 'ok', 'no message waits where nobody reads')];
}

export function judgeRecordStreams(streams: readonly RecordStreamFacts[]): Finding[] {
  const findings = streams.flatMap(({ stream, present, differences }) => {
    if (!present) {
      // The bucket of artifacts comes with the first upload.
      return stream.startsWith('OBJ_')
        ? []
        : [
            finding(
              'nats.records',
              'fault',
              `stream ${stream} is not there`,
              'restart a coordinator: it declares it at start and after each reconnect',
            ),
          ];
    }
    if (differences.length === 0) return [];
    return [
      finding(
        'nats.records',
        differences.every(({ setting }) => bearable.includes(setting)) ? 'warning' : 'fault',
        `stream ${stream}: ${showDifferences(differences)}`,
        differences.some(({ setting }) => setting === 'storage')
          ? `its storage cannot be changed: back it up (nats stream backup), remove it and restart a coordinator`
          : `put it back with 'nats stream edit ${stream}'`,
      ),
    ];
  });
  if (findings.length > 0) return findings;
  const shown = streams
    .filter(({ present }) => present)
    .map(({ stream, messages }) => `${stream} ${messages}`);
  return [finding('nats.records', 'ok', `as declared; messages: ${shown.join(', ')}`)];
}
