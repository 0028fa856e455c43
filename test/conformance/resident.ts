/** The model that serves while others misbehave, and the processes that must outlive them. */
import type { TroupeClient } from '@troupe/client';
import { identityModel } from '@troupe/shared/onnx';
import type { TestCluster } from '../harness/cluster.js';
import { waitUntil } from '../harness/wait-until.js';

export interface Resident {
  /** Pids of coordinators, hosts and the resident's runner, as text to compare. */
  pids(): string;
  /** Asks the resident; what is wrong with its answer, undefined where nothing is. */
  findFault(): Promise<string | undefined>;
}

const name = 'resident';

/** Registers the resident and finds its runner. */
export async function startResident(cluster: TestCluster, client: TroupeClient): Promise<Resident> {
  await client.registerModel({ name, bytes: identityModel(), replicas: 1 });
  const runner = await waitUntil(
    'the resident serves',
    async () =>
      (await client.workers()).find(({ model, state }) => model === name && state === 'serving')?.pid,
  );
  const runners = () => cluster.hosts.flatMap((host) => host.runnerPids());
  return {
    pids() {
      const ours = [...cluster.coordinators, ...cluster.hosts].map(({ name: who, pid, alive }) =>
        alive ? `${who} ${pid}` : `${who} dead`,
      );
      return [...ours, runners().includes(runner) ? `runner ${runner}` : `runner ${runner} dead`].join(', ');
    },
    async findFault() {
      const data = Float32Array.from({ length: 4 }, () => Math.random());
      const { outputs } = await client.infer(name, data);
      const [output] = Object.values(outputs);
      return String(output?.data) === String(data)
        ? undefined
        : `${String(data)} came back as ${String(output?.data)}`;
    },
  };
}
