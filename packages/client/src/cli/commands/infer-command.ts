/** `troupe infer`: one request, its outputs as a table or as JSON. */
import type { CommandContext } from '../command-context.js';
import { formatMs, showControls } from '../format-table.js';
import { formatValues, plainOutput } from '../format-tensor.js';
import { parseInputArguments } from '../parse-input.js';

export interface InferCommandOptions {
  readonly input: readonly string[];
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
  const inputs = parseInputArguments(options.input);
  const { result, tookMs } = await context.withClient(async (client) => {
    const startedAt = performance.now();
    const answer = await client.infer(model, inputs, {
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
