/**
 * The bad versions of `drill swap`: what each of them is, and by what it must be found. What ONNX operators can do is done
 * by them; the death and the hanging of a process are the drill's own doing, by signals: the product has no hooks for it.
 */
import { asTroupeError, type GoldenCase } from '@troupe/shared';
import { sendSignal } from '../../deploy/local/processes.mjs';
import { affineModel, type Trap } from './affine-models.js';
import { rolloutEnded, type SwapGround, swapModel } from './swap-ground.js';

/** One way to be bad. */
export interface BadKind {
  readonly name: string;
  readonly trap?: Trap;
  /** Cuts the file short. */
  readonly truncated?: boolean;
  readonly golden?: readonly GoldenCase[];
  /** Done to each process of the candidate as it appears, until the rollout has ended. */
  readonly signal?: { readonly name: 'SIGKILL' | 'SIGSTOP'; readonly when: 'loading' | 'serving' };
  /** How it may end: refused by `push` or `start`, with the reason, or rolled back for a cause. */
  readonly wanted: readonly string[];
}

const wrongGolden: GoldenCase = {
  name: 'another factor',
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 1, 1, 1] }],
  outputs: [{ name: 'output', datatype: 'FP32', shape: [1, 4], data: [1_000, 1, 1, 1] }],
};

export const badKinds: readonly BadKind[] = [
  { name: 'errors_on_inputs', trap: 'errors', wanted: ['rolled_back:evidence'] },
  { name: 'truncated', truncated: true, wanted: ['push:model.not_onnx'] },
  { name: 'dies_on_inputs', signal: { name: 'SIGKILL', when: 'serving' }, wanted: ['rolled_back:crash'] },
  { name: 'other_signature', trap: 'other_signature', wanted: ['start:rollout.signature'] },
  { name: 'always_nan', trap: 'always_nan', wanted: ['push:model.output_invalid', 'rolled_back:candidate'] },
  { name: 'nan_on_inputs', trap: 'nan', wanted: ['rolled_back:evidence'] },
  { name: 'fails_golden', golden: [wrongGolden], wanted: ['push:model.golden'] },
  {
    name: 'dies_on_load',
    signal: { name: 'SIGKILL', when: 'loading' },
    wanted: ['rolled_back:candidate', 'rolled_back:crash'],
  },
  { name: 'slow_on_inputs', trap: 'slow', wanted: ['rolled_back:evidence'] },
  {
    name: 'hangs_on_load',
    signal: { name: 'SIGSTOP', when: 'loading' },
    wanted: ['rolled_back:candidate', 'rolled_back:crash'],
  },
];

/** Between two looks for a new process of the candidate, in milliseconds: a load is over soon. */
const lookEveryMs = { loading: 5, serving: 50 };

/** Pushes the version and rolls it out; resolves with how that ended, when only the stable version's worker is left. */
export async function putForward(
  ground: SwapGround,
  kind: BadKind,
  turn: number,
  bakeMs: number,
): Promise<{ readonly wanted: readonly string[]; readonly got: string }> {
  const { client, load, signal } = ground;
  const { wanted } = kind;
  const factor = 5 + turn / 64; // a file of its own each time
  const whole = affineModel(factor, { ...(kind.trap === undefined ? {} : { trap: kind.trap }) });
  const bytes = kind.truncated === true ? whole.subarray(0, Math.floor(whole.length / 2)) : whole;
  let version: number;
  try {
    const options = { name: swapModel, bytes, ...(kind.golden === undefined ? {} : { golden: kind.golden }) };
    ({ version } = await client.registerModel(options));
  } catch (error) {
    return { wanted, got: `push:${asTroupeError(error).reason}` };
  }
  await load.addVersion(version, factor);
  const stop = new AbortController();
  const harm =
    kind.signal === undefined ? undefined : harmCandidate(ground, version, kind.signal, stop.signal);
  try {
    await client.startRollout(swapModel, version, { bakeMs });
  } catch (error) {
    stop.abort();
    await harm;
    return { wanted, got: `start:${asTroupeError(error).reason}` };
  }
  try {
    const rollout = await rolloutEnded(client, signal);
    const cause = rollout.cause === undefined ? '' : `:${rollout.cause.kind}`;
    return { wanted, got: `${rollout.phase}${cause}` };
  } finally {
    stop.abort();
    await harm;
  }
}

/** Signals each new runner of the host while the rollout is under way: those are the candidate's. */
async function harmCandidate(
  { client, host }: SwapGround,
  version: number,
  { name, when }: { readonly name: 'SIGKILL' | 'SIGSTOP'; readonly when: 'loading' | 'serving' },
  stop: AbortSignal,
): Promise<void> {
  const before = new Set(host.runnerPids());
  while (!stop.aborted) {
    const serving = when === 'loading' ? [] : await servingPids(client, version);
    for (const pid of host.runnerPids()) {
      if (before.has(pid) || (when === 'serving' && !serving.includes(pid))) continue;
      before.add(pid);
      sendSignal(pid, name);
    }
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs[when]));
  }
}

async function servingPids(client: SwapGround['client'], version: number): Promise<number[]> {
  try {
    return (await client.workers())
      .filter((worker) => worker.model === swapModel && worker.version === version)
      .flatMap(({ pid, state }) => (state === 'serving' && pid !== undefined ? [pid] : []));
  } catch {
    return []; // a busy server; the next look may tell
  }
}
