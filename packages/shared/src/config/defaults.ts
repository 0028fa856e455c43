/** Defaults of the cluster, each with its environment name. The architecture page says why each has its value. */

const second = 1_000;
const mebibyte = 1024 * 1024;

/** Numbers that processes share. Environment names stand in `environment.ts`. */
export const defaults = {
  /** Deadline of a request. `TROUPE_DEADLINE_MS` */
  deadlineMs: 10 * second,
  /** Longest deadline that a request may ask for; longer work is a job. */
  maxDeadlineMs: 300 * second,
  /** The consumer's redelivery bound. `TROUPE_ACK_WAIT_MS` */
  ackWaitMs: 2 * second,
  /** A run that passes this is ended with its runner. `TROUPE_RUN_LIMIT_MS` */
  runLimitMs: 30 * second,
  /** Fetch, verify, create and warm a session. `TROUPE_LOAD_LIMIT_MS` */
  loadLimitMs: 120 * second,
  /** Lease TTL of hosts and leader. `TROUPE_LEASE_TTL_MS` */
  leaseTtlMs: 3 * second,
  /** A host's time to finish after SIGTERM. `TROUPE_DRAIN_BOUND_MS` */
  drainBoundMs: 30 * second,
  /** A runner that says nothing for this long is ended. `TROUPE_RUNNER_SILENCE_MS` */
  runnerSilenceMs: 2 * second,
  /**
   * A runner that has not said a word this long after its start is ended. That takes a third of a second of a core; the
   * rest is for many that start at once on few cores. `TROUPE_RUNNER_START_MS`
   */
  runnerStartMs: 30 * second,
  /** Strikes that make a message poison. */
  poisonStrikes: 3,
  /** Delivery count at which a message is dead-lettered whatever the cause. */
  redeliveryLimit: 10,
  /** Messages that may wait for one version. `TROUPE_QUEUE_LIMIT` */
  queueLimit: 10_000,
  /** Bytes of one model's stream; a server reserves them all together. `TROUPE_STREAM_BYTES` */
  streamBytes: 256 * mebibyte,
  /** Backstop age of a queued message. */
  streamMaxAgeMs: 24 * 3600 * second,
  /** Most bytes of one pull: more gets the connection cut as a slow consumer. */
  pullBytes: 32 * mebibyte,
  /** Longest life of a pull. */
  pullExpiresMs: 5 * second,
  /** Slots of a host for each of its devices. */
  slotsPerDevice: 8,
  /** Workers of a model. */
  replicas: 2,
  /** Requests that one worker may hold at once. `TROUPE_CREDITS` */
  credits: 128,
  /** How long a model on demand stays in memory without a request. `TROUPE_IDLE_MS` */
  idleMs: 300 * second,
  /** Rows of one run, where the version is batchable. */
  maxBatchSize: 32,
  /** How long an accepted publish may go unconfirmed before it is repeated. */
  pubAckWaitMs: second,
  /** How long workers of a version go on pulling after the route left it. `TROUPE_ROUTE_GRACE_MS` */
  routeGraceMs: 60 * second,
  /** How long the version before stands by after a rollout gave the new one all traffic; `--bake-ms` of a rollout. */
  bakeMs: 300 * second,
  /** Deaths of runners that one worker bears in a rollout; `--max-crashes` of a rollout. */
  maxCrashes: 3,
  /** An answer, or a message held in memory, is never larger than this whatever the server allows. */
  maxMessageBytes: 64 * mebibyte,
  /** Of a client's calls outside of any trace, those that OpenTelemetry is asked about. `TROUPE_TRACE_SHARE` */
  traceShare: 1,
  /** First connection to a server. */
  connectTimeoutMs: 5 * second,
  /** A message that repeats an earlier one: how often the submitter publishes one request at most. */
  publishAttempts: 1_000,
} as const;
