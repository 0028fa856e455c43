/** Host and worker machine of Troupe. The process itself is `bin/troupe-worker.js`. */
export { createHost, type Host, type HostOptions, type HostOutcome } from './host/host.js';
export type { RunnerInput, RunnerOrderEvent, WorkerEvent } from './host/worker-events.js';
export {
  createWorkerMachine,
  servingVersionOf,
  type WorkerMachine,
  workerStateOf,
} from './host/worker-machine.js';
export type { WorkerPorts } from './host/worker-ports.js';
