/** JetStream's numeric error codes that we act on, and how to find one in what the library throws. */
import { NatsError } from 'nats';

/** Source: nats-server `server/errors.json`. */
export const JetStreamCode = {
  NoSuitablePeers: 10005,
  ClusterNotAvailable: 10008,
  ConsumerNotFound: 10014,
  InsufficientResources: 10023,
  InsufficientMemory: 10028,
  InsufficientStorage: 10047,
  MessageNotFound: 10037,
  StreamNameInUse: 10058,
  StreamNotFound: 10059,
  WrongLastSequence: 10071,
  ReplicasNotSupported: 10074,
  StreamStoreFailed: 10077,
  ConsumerNameExists: 10148,
} as const;

/** The JetStream code of an error, `undefined` where it is something else. */
export function jetStreamCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

/** Whether an error says that nobody answered for JetStream now: a server that starts, or a leader election. */
export function isNoResponders(error: unknown): boolean {
  return error instanceof NatsError && error.code === '503' && error.api_error === undefined;
}

/** A cluster of servers that has no leader yet has JetStream, and says so a moment later. */
export function isStarting(error: unknown): boolean {
  return (
    (error instanceof NatsError && error.code === 'TIMEOUT') ||
    jetStreamCode(error) === JetStreamCode.ClusterNotAvailable
  );
}
