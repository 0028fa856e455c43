/** Catalogue of metric names, without the namespace that goes in front of each (`troupe_worker_rows_total`). */
export const MetricName = {
  WorkerRequests: 'worker_requests_total',
  WorkerBatches: 'worker_batches_total',
  WorkerRows: 'worker_rows_total',
  WorkerCrashes: 'worker_crashes_total',
  WorkerInFlight: 'worker_in_flight',
  WorkerCredits: 'worker_credits',
  WorkerMemory: 'worker_memory_bytes',
  WorkerLatency: 'worker_latency_seconds',
  WorkerState: 'worker_state',
  HostSlots: 'host_slots',
  HostLeaseRemaining: 'host_lease_remaining_seconds',
  LeaderEpoch: 'leader_epoch',
} as const;
export type MetricName = (typeof MetricName)[keyof typeof MetricName];

/** A metric's full name: namespaces may hold `-`, metric names may not. */
export function metricName(namespace: string, name: MetricName): string {
  return `${namespace.replaceAll('-', '_')}_${name}`;
}
