/**
 * Requests that are valid and cost much: each gets its right answer, or a typed error that names the limit which it
 * passes; and the next request to that model is answered right. Those marked DANGER need a memory limit and are left
 * out. What is right is asked of ONNX Runtime directly, where the folder does not say.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TroupeClient } from '@troupe/client';
import { decodeInferRequest, elementCount, type NumericDatatype, type Tensor, viewAs } from '@troupe/shared';
import * as ort from 'onnxruntime-node';
import { withSession } from '../models/onnx-session.js';
import { type CaseFolder, type HazardCase, readModel } from './case-folder.js';
import { findFault } from './compare-answer.js';
import type { Doors, Form } from './doors.js';
import { isTyped } from './plain-door.js';
import { textOf } from './replay-case.js';
import type { Resident } from './resident.js';
import type { Tally } from './tally.js';

export interface HazardContext {
  readonly folder: CaseFolder;
  readonly client: TroupeClient;
  readonly doors: Doors;
  readonly resident: Resident;
  readonly tally: Tally;
}

/** Long enough for runs of many seconds on few cores, and for a runner that has to be started again. */
const deadlineMs = 120_000;
/** Text by which an error names a limit: which number is passed by which. */
const limitPattern = /\d.*(limit|bytes|ms\b|memory|payload|MiB|at most)/i;

interface HazardRequest {
  readonly file: string;
  readonly body: Buffer;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly string[] | undefined;
  readonly expected: readonly number[] | undefined;
}

/** Replays a hazard's requests by the SDK and as plain JSON; faults go to the tally. Never rejects. */
export async function replayHazard(context: HazardContext, hazard: HazardCase): Promise<void> {
  const { folder, client, resident, tally } = context;
  const model = hazard.id;
  const bytes = readModel(folder, hazard);
  const before = resident.pids();
  const requests: HazardRequest[] = [];
  for (const { file, effect, expected } of hazard.requests) {
    if (effect.startsWith('DANGER')) {
      tally.hazards.skipped += 1;
      continue;
    }
    const body = readFileSync(join(folder.root, hazard.path, file));
    const { inputs, outputs } = decodeInferRequest(body, undefined);
    requests.push({ file, body, inputs, outputs: outputs?.map(({ name }) => name), expected });
  }
  try {
    await client.registerModel({ name: model, bytes, replicas: 1 });
    for (const request of requests) {
      const faults: string[] = [];
      for (const form of ['sdk', 'json'] as const) {
        const fault = await askOnce(context, model, bytes, request, form, true);
        if (fault !== undefined) faults.push(`by ${form}: ${fault}`);
        const next = requests[0] ?? request;
        const later = await askOnce(context, model, bytes, next, form, false);
        if (later !== undefined) faults.push(`the next request (${next.file}) by ${form}: ${later}`);
      }
      const bystander = await resident.findFault();
      if (bystander !== undefined) faults.push(`the model beside it answers wrongly: ${bystander}`);
      if (resident.pids() !== before) faults.push(`processes have died: ${before}, now ${resident.pids()}`);
      if (faults.length === 0) tally.hazards.passed += 1;
      else tally.hazards.failed += 1;
      for (const fault of faults) tally.faults.push(`${hazard.id} ${request.file}: ${fault}`);
    }
  } catch (error) {
    tally.hazards.failed += 1;
    tally.faults.push(`${hazard.id}: ${textOf(error)}`);
  } finally {
    await client.deleteModel(model).catch((error: unknown) => {
      tally.faults.push(`${hazard.id}: could not be deleted: ${textOf(error)}`);
    });
  }
}

async function askOnce(
  { doors, tally }: HazardContext,
  model: string,
  bytes: Uint8Array,
  request: HazardRequest,
  form: Form,
  mayExceed: boolean,
): Promise<string | undefined> {
  tally.requests += 1;
  let outputs: readonly Tensor[];
  try {
    outputs = await doors.ask(form, model, request.inputs, {
      given: { payload: request.body },
      outputs: request.outputs,
      deadlineMs,
    });
  } catch (error) {
    if (!mayExceed) return textOf(error);
    if (!isTyped(error)) return `it failed without a type: ${textOf(error)}`;
    return limitPattern.test(error.message) ? undefined : `the error names no limit: ${textOf(error)}`;
  }
  const right = await rightOutputs(bytes, request);
  return findFault(outputs, right, 'exact');
}

async function rightOutputs(bytes: Uint8Array, request: HazardRequest): Promise<readonly Tensor[]> {
  return withSession(bytes, async (session) => {
    const feeds = Object.fromEntries(request.inputs.map((input) => [input.name, toRuntime(input)]));
    const names = request.outputs ?? session.outputNames;
    const results = await session.run(feeds, names);
    return names.map((name): Tensor => {
      const result = results[name] as ort.Tensor;
      const data = result.data as Float32Array | Int32Array;
      if (request.expected !== undefined && String(request.expected) !== String(Array.from(data))) {
        throw new Error(`ONNX Runtime itself gives other values than the folder says`);
      }
      if (elementCount(result.dims) !== data.length) throw new Error('the runtime contradicts itself');
      return {
        name,
        datatype: result.type === 'int32' ? 'INT32' : 'FP32',
        shape: result.dims,
        data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      };
    });
  });
}

function toRuntime({ data, datatype, shape }: Tensor): ort.Tensor {
  const view = viewAs(datatype as NumericDatatype, data as Uint8Array);
  if (view instanceof BigInt64Array) return new ort.Tensor('int64', view, shape);
  if (view instanceof Int32Array) return new ort.Tensor('int32', view, shape);
  return new ort.Tensor('float32', view as Float32Array, shape);
}
