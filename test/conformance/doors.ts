/** The three ways in which every set is replayed, behind one face. */
import { randomUUID } from 'node:crypto';
import { type InputTensor, type TroupeClient, tensor } from '@troupe/client';
import { encodeInferRequest, type NumericDatatype, type Tensor, viewAs } from '@troupe/shared';
import type { BareNatsClient } from '../harness/bare-nats-client.js';
import { askPlain } from './plain-door.js';

/** Form of a request. */
export type Form = 'sdk' | 'json' | 'binary';
export const forms: readonly Form[] = ['sdk', 'json', 'binary'];

/** Body of a plain request that a case brings with it. */
export interface GivenBody {
  readonly payload: Uint8Array;
  readonly jsonLength?: number;
}

export interface Doors {
  /**
   * Sends a request and gives the outputs. The SDK takes the tensors; the plain doors take `given` where there is one,
   * else the tensors in their form.
   */
  ask(form: Form, model: string, inputs: readonly Tensor[], options?: AskOptions): Promise<readonly Tensor[]>;
}

export interface AskOptions {
  readonly given?: GivenBody | undefined;
  readonly outputs?: readonly string[] | undefined;
  readonly deadlineMs?: number;
  /** The version that must answer. */
  readonly version?: number | undefined;
}

/** A cold cluster on few cores may have loads under way beside the request. */
const defaultDeadlineMs = 30_000;

/** Opens the doors of a cluster. */
export function createDoors(client: TroupeClient, bare: BareNatsClient, namespace: string): Doors {
  async function askSdk(model: string, inputs: readonly Tensor[], options: AskOptions): Promise<Tensor[]> {
    const id = randomUUID();
    const named = Object.fromEntries(inputs.map((input) => [input.name, inputOf(input)]));
    const result = await client.infer(model, named, {
      id,
      deadlineMs: options.deadlineMs ?? defaultDeadlineMs,
      ...(options.outputs === undefined ? {} : { outputs: options.outputs }),
    });
    const wrongVersion = options.version !== undefined && result.version !== options.version;
    if (result.model !== model || wrongVersion || result.degraded || result.id !== id) {
      throw new Error(`the answer says model ${result.model}, version ${result.version}, id ${result.id}`);
    }
    return Object.entries(result.outputs).map(([name, { data, datatype, shape }]) => ({
      name,
      datatype,
      shape,
      data: datatype === 'BYTES' ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    }));
  }

  async function askBare(
    form: 'json' | 'binary',
    model: string,
    inputs: readonly Tensor[],
    { given, outputs, deadlineMs = defaultDeadlineMs }: AskOptions,
  ): Promise<readonly Tensor[]> {
    const binary = form === 'binary';
    const body =
      given ??
      encodeInferRequest(
        { inputs, binaryOutput: binary, outputs: outputs?.map((name) => ({ name })) },
        binary,
      );
    const answer = await askPlain(bare, model, body, { namespace, deadlineMs });
    if (answer.modelName !== model) throw new Error(`the answer says model ${answer.modelName}`);
    if (answer.binary !== binary) throw new Error(`the answer to a ${form} request has the other form`);
    return answer.outputs;
  }

  return {
    ask: (form, model, inputs, options = {}) =>
      form === 'sdk' ? askSdk(model, inputs, options) : askBare(form, model, inputs, options),
  };
}

function inputOf({ data, datatype, shape }: Tensor): InputTensor {
  if (datatype === 'BYTES' || !(data instanceof Uint8Array))
    return tensor(data as readonly string[], shape, datatype);
  return tensor(viewAs(datatype as NumericDatatype, data), shape, datatype);
}
