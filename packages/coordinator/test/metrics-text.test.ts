import type { HostLease, WorkerReport } from '@troupe/shared';
import { expect } from 'chai';
import { renderMetrics } from '../src/doors/metrics-text.js';

const worker: WorkerReport = {
  model: 'iris',
  version: 2,
  device: 'cpu:0',
  state: 'serving',
  servingVersion: 2,
  credits: 128,
  inFlight: 3,
  natsConnected: true,
  completed: 40,
  failed: 2,
  batches: 10,
  rows: 42,
  p50Ms: 4,
  p99Ms: 25,
  memoryBytes: 1_000_000,
  crashes: 1,
};
const lease: HostLease = {
  host: 'a',
  token: 7,
  remainingMs: 2_500,
  report: {
    host: 'a',
    startedAt: '2026-11-01T00:00:00.000Z',
    pid: 1,
    devices: [{ name: 'cpu:0', kind: 'cpu' }],
    slots: 8,
    workers: [worker],
    epoch: 3,
    stopping: false,
    nodeVersion: 'v20.20.2',
    runtimeVersion: '1.30.0',
    troupeVersion: '0.1.0',
  },
};

describe('the metrics', () => {
  it('tell what the leases report, in base units, under the namespace', async () => {
    const lines = (await renderMetrics('my-troupe', [lease], 3)).split('\n');
    const labels = 'host="a",device="cpu:0",model="iris",version="2"';
    expect(lines).to.include.members([
      `my_troupe_worker_requests_total{${labels},outcome="completed"} 40`,
      `my_troupe_worker_requests_total{${labels},outcome="failed"} 2`,
      `my_troupe_worker_batches_total{${labels}} 10`,
      `my_troupe_worker_rows_total{${labels}} 42`,
      `my_troupe_worker_crashes_total{${labels}} 1`,
      `my_troupe_worker_in_flight{${labels}} 3`,
      `my_troupe_worker_latency_seconds{${labels},quantile="0.5"} 0.004`,
      `my_troupe_worker_latency_seconds{${labels},quantile="0.99"} 0.025`,
      `my_troupe_worker_memory_bytes{${labels}} 1000000`,
      `my_troupe_worker_state{${labels},state="serving"} 1`,
      `my_troupe_worker_state{${labels},state="fallback"} 0`,
      'my_troupe_host_slots{host="a"} 8',
      'my_troupe_host_lease_remaining_seconds{host="a"} 2.5',
      'my_troupe_leader_epoch 3',
    ]);
  });

  it('leave out what nobody reports', async () => {
    const { p50Ms: _, p99Ms: __, memoryBytes: ___, ...idle } = worker;
    const text = await renderMetrics(
      'troupe',
      [{ ...lease, report: { ...lease.report, workers: [idle] } }],
      undefined,
    );
    expect(text).to.not.match(/latency_seconds\{|memory_bytes\{|leader_epoch \d/);
  });
});
