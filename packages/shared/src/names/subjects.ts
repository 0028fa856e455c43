/** Catalogue of NATS subjects, streams, consumers and buckets. No other file spells one. */

/** Priority of a request: 0 is served first. */
export type Priority = 0 | 1 | 2;
export const defaultPriority: Priority = 1;

/** Names on NATS of one Troupe. */
export interface Subjects {
  readonly namespace: string;
  /** Request/reply door for plain NATS clients: `<ns>.infer.<model>[.<version or label>]`. */
  infer(model: string, selector?: string): string;
  readonly inferAll: string;
  /** Work lane of one version. */
  work(model: string, version: number, priority: Priority): string;
  /** All priorities of one version: the filter of its consumer. */
  workOfVersion(model: string, version: number): string;
  /** Everything that the model's stream captures. */
  workOfModel(model: string): string;
  workStream(model: string): string;
  /** The prefix that every work stream's name has. */
  readonly workStreamPrefix: string;
  workConsumer(version: number): string;
  cancel(model: string, version: number): string;
  readonly cancelAll: string;
  demand(model: string, version: number): string;
  readonly demandAll: string;
  admin(noun: string, verb: string): string;
  readonly adminPrefix: string;
  /** Commands of the leader to one host (request/reply). */
  ctl(host: string): string;
  event(kind: string): string;
  readonly eventsAll: string;
  readonly eventStream: string;
  readonly deadStream: string;
  dead(model: string, version: number): string;
  deadOfModel(model: string): string;
  readonly deadAll: string;
  readonly routesBucket: string;
  readonly artifactsBucket: string;
  readonly adminServiceName: string;
}

/** The catalogue under a namespace (checked by `parseNamespace`). */
export function createSubjects(namespace: string): Subjects {
  const upper = namespace.toUpperCase();
  return {
    namespace,
    infer: (model, selector) => `${namespace}.infer.${model}${selector === undefined ? '' : `.${selector}`}`,
    inferAll: `${namespace}.infer.>`,
    work: (model, version, priority) => `${namespace}.work.${model}.${version}.${priority}`,
    workOfVersion: (model, version) => `${namespace}.work.${model}.${version}.*`,
    workOfModel: (model) => `${namespace}.work.${model}.>`,
    workStream: (model) => `${upper}_WORK_${model}`,
    workStreamPrefix: `${upper}_WORK_`,
    workConsumer: (version) => `v${version}`,
    cancel: (model, version) => `${namespace}.cancel.${model}.${version}`,
    cancelAll: `${namespace}.cancel.>`,
    demand: (model, version) => `${namespace}.demand.${model}.${version}`,
    demandAll: `${namespace}.demand.>`,
    admin: (noun, verb) => `${namespace}.admin.${noun}.${verb}`,
    adminPrefix: `${namespace}.admin`,
    ctl: (host) => `${namespace}.ctl.${host}`,
    event: (kind) => `${namespace}.evt.${kind}`,
    eventsAll: `${namespace}.evt.>`,
    eventStream: `${upper}_EVENTS`,
    deadStream: `${upper}_DEAD`,
    dead: (model, version) => `${namespace}.dead.${model}.${version}`,
    deadOfModel: (model) => `${namespace}.dead.${model}.*`,
    deadAll: `${namespace}.dead.>`,
    routesBucket: `${upper}_ROUTES`,
    artifactsBucket: `${upper}_ARTIFACTS`,
    adminServiceName: `${namespace}-admin`,
  };
}
