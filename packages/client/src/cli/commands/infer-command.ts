/** `troupe infer`: one request, its outputs as a table or as JSON. */
import { decodeInferRequest, viewAs } from '@troupe/shared';
import type { InferOptions } from '../../sdk/infer-options.js';
import { type Inputs, tensor } from '../../sdk/input-tensor.js';
import type { CommandContext } from '../command-context.js';
import { UsageError } from '../exit-code.js';
import { formatMs, showControls } from '../format-table.js';
import { formatValues, plainOutput } from '../format-tensor.js';
import { parseInputArguments } from '../parse-input.js';

export interface InferCommandOptions {
  readonly input: readonly string[];
  readonly file?: string;
  readonly version?: number;
  readonly label?: string;
  readonly output?: readonly string[];
  readonly deadlineMs?: number;
  readonly id?: string;
}

export async function inferModel(
  context: CommandContext,
  model: string,
  options: InferCommandOptions,
): Promise<void> {
  if (options.file !== undefined && options.input.length > 0)
    throw new UsageError('--file and --input exclude each other: the file holds the whole request');
  const request =
    options.file === undefined
      ? { options: {}, inputs: await parseInputArguments(options.input, (path) => context.read(path)) }
      : readBody(await context.read(options.file));
  const { result, tookMs } = await context.withClient(async (client) => {
    const startedAt = performance.now();
    const answer = await client.infer(model, request.inputs, {
      ...request.options,
      signal: context.signal,
      ...(options.version === undefined ? {} : { version: options.version }),
      ...(options.label === undefined ? {} : { label: options.label }),
      ...(options.output === undefined ? {} : { outputs: options.output }),
      ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
      ...(options.id === undefined ? {} : { id: options.id }),
    });
    return { result: answer, tookMs: performance.now() - startedAt };
  });
  const outputs = Object.entries(result.outputs);
  const plain = Object.fromEntries(outputs.map(([name, output]) => [name, plainOutput(output)]));
  context.print({ ...result, outputs: plain }, () => {
    const degraded = result.degraded ? ', degraded: another version than the one asked for answered' : '';
    const rows = outputs.map(([name, output]) => [
      name,
      output.datatype,
      `[${output.shape.join(',')}]`,
      formatValues(output),
    ]);
    const head = `${showControls(result.model)} version ${result.version}, ${formatMs(tookMs)}${degraded}\n`;
    return `${head}${context.table(['OUTPUT', 'TYPE', 'SHAPE', 'VALUES'], rows)}`;
  });
}

/** A request of the Open Inference Protocol in JSON: its inputs, and what it asks for. Throws `request.*`. */
function readBody(body: Uint8Array): { inputs: Inputs; options: InferOptions } {
  const { id, inputs, outputs } = decodeInferRequest(body, undefined);
  const values = inputs.map(({ name, datatype, shape, data }) => [
    name,
    tensor(
      datatype === 'BYTES' ? (data as readonly string[]) : viewAs(datatype, data as Uint8Array),
      shape,
      datatype,
    ),
  ]);
  return {
    inputs: Object.fromEntries(values) as Inputs,
    options: {
      ...(id === undefined ? {} : { id }),
      ...(outputs === undefined ? {} : { outputs: outputs.map((output) => output.name) }),
    },
  };
}
