/** Everything that Troupe does on NATS; the only folder that imports the client library. */
export { buildAckSubject, type MessageRef, parseAckSubject } from './ack-subject.js';
export { type AdminArguments, type AdminEndpoint, callAdmin, serveAdmin } from './admin-rpc.js';
export { type ArtifactStore, createArtifactStore } from './artifact-store.js';
export { type CancelMessage, publishCancel, serveCancels, subscribeCancels } from './cancel.js';
export { type DeadLetter, dropDeadLetter, listDeadLetters, replayDeadLetter } from './dead-letters.js';
export { createDemandSender, type DemandSender, modelsWithQueuedWork, watchDemand } from './demand.js';
export { publishEvent, recentEvents, watchEvents } from './events.js';
export { sendHostCommand, serveHostCommands } from './host-rpc.js';
export { answerIngress, type IngressRequest, serveIngress } from './ingress-door.js';
export { redeclareLane, watchLaneLeaders } from './lane-leaders.js';
export { connectNats, type NatsLink, type NatsOptions } from './nats-link.js';
export {
  type AnswerAddress,
  answerOnBehalf,
  condemnWorkMessage,
  nakOnBehalf,
  publishDead,
} from './on-behalf.js';
export {
  noteRefusals,
  type PermissionNeed,
  type PermissionRefusal,
  tryPermissions,
} from './permissions.js';
export { declareRecordStreams, hasRecordStreams } from './record-streams.js';
export { openRehearsalSource, type RehearsalSource } from './rehearsal-source.js';
export { publishRepeat, type Repeat } from './repeat.js';
export {
  createRoutingPublisher,
  createRoutingView,
  type RoutingPublisher,
  type RoutingView,
} from './routing-bucket.js';
export {
  type EventClock,
  type JetStreamFacts,
  type NatsServerFacts,
  natsRoundTripMs,
  type RecordStreamFacts,
  readEventClocks,
  readJetStream,
  readNatsServer,
  readRecordStreams,
  readWorkStreams,
  type SettingDifference,
  type WorkStreamFacts,
} from './server-facts.js';
export { adjustReplicas, type ReplicaFacts, readReplicas } from './stream-replicas.js';
export type { WorkMessage } from './work-deliveries.js';
export {
  declareWorkConsumer,
  declareWorkStream,
  deleteWorkConsumer,
  deleteWorkMessage,
  deleteWorkStream,
  type LaneLimits,
  listWorkStreams,
  purgeWork,
  type QueueCounts,
  queuedByVersion,
  workQueueCounts,
} from './work-lane.js';
export { createWorkPuller, type WorkPuller, type WorkPullerOptions } from './work-puller.js';
export type { WorkSource } from './work-source.js';
export {
  createWorkSubmitter,
  type WorkRequest,
  type WorkSubmitter,
  type WorkSubmitterOptions,
} from './work-submitter.js';
