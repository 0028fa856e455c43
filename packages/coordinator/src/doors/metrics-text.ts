/**
 * The cluster's figures in Prometheus' text format, from the hosts' reports in their leases: what any coordinator can
 * tell without asking a host. Counters are those of the runners, so they start again at 0 with a new runner.
 */
import { type HostLease, MetricName, metricName, WorkerState } from '@troupe/shared';
import { Counter, Gauge, Registry } from 'prom-client';

const millisecondsPerSecond = 1_000;
const workerLabels = ['host', 'device', 'model', 'version'] as const;

/** Renders every figure; a fresh registry each time, since hosts and workers come and go. */
export async function renderMetrics(
  namespace: string,
  hosts: readonly HostLease[],
  epoch: number | undefined,
): Promise<string> {
  const registry = new Registry();
  const gauge = <L extends string>(name: MetricName, help: string, labelNames: readonly L[]) =>
    new Gauge({ name: metricName(namespace, name), help, labelNames, registers: [registry] });
  const counter = <L extends string>(name: MetricName, help: string, labelNames: readonly L[]) =>
    new Counter({ name: metricName(namespace, name), help, labelNames, registers: [registry] });

  const requests = counter(MetricName.WorkerRequests, 'Requests answered, by outcome', [
    ...workerLabels,
    'outcome',
  ]);
  const batches = counter(MetricName.WorkerBatches, 'Runs of the session', workerLabels);
  const rows = counter(MetricName.WorkerRows, 'Rows that went through the session', workerLabels);
  const crashes = counter(
    MetricName.WorkerCrashes,
    'Runners that died since the worker was assigned',
    workerLabels,
  );
  const inFlight = gauge(MetricName.WorkerInFlight, 'Requests that the worker holds', workerLabels);
  const credits = gauge(MetricName.WorkerCredits, 'Requests that the worker may hold', workerLabels);
  const memory = gauge(MetricName.WorkerMemory, 'Proportional set size of the runner', workerLabels);
  const state = gauge(MetricName.WorkerState, '1 for the state that the worker is in', [
    ...workerLabels,
    'state',
  ]);
  const latency = gauge(MetricName.WorkerLatency, 'Time from arrival to answer over the last minute', [
    ...workerLabels,
    'quantile',
  ]);
  const slots = gauge(MetricName.HostSlots, 'Workers that the host has room for', ['host']);
  const remaining = gauge(MetricName.HostLeaseRemaining, 'Until the lease of the host lapses', ['host']);

  // Without labels a gauge stands at 0 from the start; no leader is not epoch 0.
  if (epoch !== undefined) gauge(MetricName.LeaderEpoch, 'Epoch of the leader', []).set(epoch);
  for (const { host, remainingMs, report } of hosts) {
    slots.set({ host }, report.slots);
    remaining.set({ host }, remainingMs / millisecondsPerSecond);
    for (const worker of report.workers) {
      const labels = { host, device: worker.device, model: worker.model, version: String(worker.version) };
      requests.inc({ ...labels, outcome: 'completed' }, worker.completed);
      requests.inc({ ...labels, outcome: 'failed' }, worker.failed);
      batches.inc(labels, worker.batches);
      rows.inc(labels, worker.rows);
      crashes.inc(labels, worker.crashes);
      inFlight.set(labels, worker.inFlight);
      credits.set(labels, worker.credits);
      for (const one of Object.values(WorkerState))
        state.set({ ...labels, state: one }, Number(one === worker.state));
      if (worker.memoryBytes !== undefined) memory.set(labels, worker.memoryBytes);
      if (worker.p50Ms !== undefined)
        latency.set({ ...labels, quantile: '0.5' }, worker.p50Ms / millisecondsPerSecond);
      if (worker.p99Ms !== undefined)
        latency.set({ ...labels, quantile: '0.99' }, worker.p99Ms / millisecondsPerSecond);
    }
  }
  return registry.metrics();
}
