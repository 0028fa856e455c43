/**
 * Turns what ONNX Runtime throws (plain errors, told apart by their text only) into typed errors. The only file that
 * knows those texts; found with onnxruntime-node 1.30 on the models of the shared test set.
 */
import { type ErrorReason, TroupeError } from '@troupe/shared';
import { elementTypeOfCode } from '@troupe/shared/onnx';

const longestText = 2_000;

/** Order matters: the first that matches wins. */
const loadFaults: readonly (readonly [RegExp, ErrorReason])[] = [
  [/external data|external initializer/i, 'model.external_data'],
  [/protobuf parsing failed|Invalid tensor data type|Model data pointer is null/i, 'model.not_onnx'],
  [/non tensor type/i, 'model.input_unsupported'],
  [
    /not a registered function\/op|No Op registered|Could not find an implementation|No opset import|opset|IR version|not supported|NOT_IMPLEMENTED|Exception during initialization/i,
    'model.runtime_unsupported',
  ],
];

const runFaults: readonly (readonly [RegExp, ErrorReason])[] = [
  [/is missing in 'feeds'/, 'request.input_missing'],
  [/Got invalid dimensions for input|Invalid rank for input/i, 'request.tensor_shape'],
  [/Unexpected input data type/i, 'request.tensor_datatype'],
];

/** The text of whatever was thrown, without the place of the file on this machine, cut to a readable length. */
function runtimeText(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const clean = text.replaceAll(/Load model .*? failed[:.]\s*/gs, '').trim();
  return clean.length > longestText ? `${clean.slice(0, longestText - 1)}…` : clean;
}

function firstMatch(
  faults: readonly (readonly [RegExp, ErrorReason])[],
  text: string,
): ErrorReason | undefined {
  return faults.find(([pattern]) => pattern.test(text))?.[1];
}

/**
 * The error of a session that could not be created. `fallback` is the reason where the text says nothing known:
 * `model.trial_failed` at registration, `model.load_failed` in a runner.
 */
export function loadError(thrown: unknown, fallback: ErrorReason): TroupeError {
  if (thrown instanceof TroupeError) return thrown;
  const text = runtimeText(thrown);
  const unsupported = /Unsupported data type: (\d+)/.exec(text);
  if (unsupported !== null) {
    const code = Number(unsupported[1]);
    return new TroupeError(
      'model.datatype_unsupported',
      `an input or output has element type ${elementTypeOfCode(code) ?? code}, which cannot be served`,
      { cause: thrown },
    );
  }
  return new TroupeError(
    firstMatch(loadFaults, text) ?? fallback,
    `the runtime does not load the model: ${text}`,
    {
      cause: thrown,
    },
  );
}

/** The error of a run. What the model itself objects to is `model.run_failed`, with the runtime's own words. */
export function runError(thrown: unknown): TroupeError {
  if (thrown instanceof TroupeError) return thrown;
  const text = runtimeText(thrown);
  return new TroupeError(
    firstMatch(runFaults, text) ?? 'model.run_failed',
    `the model refused the run: ${text}`,
    {
      cause: thrown,
    },
  );
}
