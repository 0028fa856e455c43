/** Catalogue of events: `<ns>.evt.<kind>`. One name for one thing in code, wire and log. */

/** Kinds of events (wire format): dotted lower case, kind of thing first. */
export const EventKind = {
  WorkerState: 'worker.state',
  WorkerFallback: 'worker.fallback',
  RunnerDied: 'runner.died',
  HostUp: 'host.up',
  HostStopping: 'host.stopping',
  HostLost: 'host.lost',
  HostFenced: 'host.fenced',
  LeaderElected: 'leader.elected',
  ModelRegistered: 'model.registered',
  ModelRefused: 'model.refused',
  ModelLabelled: 'model.labelled',
  ModelDeleted: 'model.deleted',
  HostScaled: 'host.scaled',
  /** An admin changed what is wanted (replicas, slots, a retry): the leader plans anew. */
  RegistryChanged: 'registry.changed',
  RouteChanged: 'route.changed',
  /** A version was condemned on a worker: `data.atNs` on the machine's monotonic clock. */
  VersionCondemned: 'version.condemned',
  /** The standby published its first answer for a condemned version: `data.condemnedNs`, `data.answeredNs`. */
  WorkerFlipped: 'worker.flipped',
  RolloutStarted: 'rollout.started',
  RolloutStep: 'rollout.step',
  RolloutPaused: 'rollout.paused',
  RolloutResumed: 'rollout.resumed',
  RolloutAborted: 'rollout.aborted',
  RolloutPromoted: 'rollout.promoted',
  RolloutRolledBack: 'rollout.rolled_back',
  /** A model's queue was declared anew: what waits in it is published again by those who await an answer. */
  QueueReset: 'queue.reset',
  RequestStrike: 'request.strike',
  RequestDead: 'request.dead',
  /** An admin sent a dead letter once more, or threw it away. */
  RequestReplayed: 'request.replayed',
  RequestDropped: 'request.dropped',
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];

/** An event (wire format). */
export interface TroupeEvent {
  readonly kind: EventKind;
  /** ISO 8601, the sender's clock. */
  readonly at: string;
  /** Who says it: `host/<name>` or `coordinator/<id>`. */
  readonly source: string;
  /** One plain sentence for people. */
  readonly text: string;
  /** Facts for programs. */
  readonly data: Readonly<Record<string, unknown>>;
}
