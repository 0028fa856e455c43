/**
 * Decides by a pre-scan what is known to be refused before a model is run at all.
 *
 * Pure. What only the runtime can know (an operator without a kernel, an inferred output type) is found by the
 * trial run afterwards.
 */

import type { ModelScan, ScannedExternalData, ScannedModel, ScannedValue } from './model-scan.js';
import { isServableElementType } from './onnx-schema.js';

/** Why a model is refused; reasons of the error catalogue. */
export interface ModelFault {
  readonly reason:
    | 'model.not_onnx'
    | 'model.external_data'
    | 'model.datatype_unsupported'
    | 'model.input_unsupported'
    | 'model.no_tensor_output'
    | 'model.runtime_unsupported';
  /** For the one who uploads the model. */
  readonly message: string;
}

/** The newest that ONNX Runtime 1.30 loads; found by trying. */
export const runtimeLimits = { irVersion: 13, opsetVersion: 26 } as const;

/**
 * All faults of a scanned file; empty where nothing speaks against a trial run.
 *
 * @param companionFiles size in bytes of each file registered with the model, by name; where given, external
 *   data must lie within them
 */
export function findModelFaults(
  scan: ModelScan,
  companionFiles?: ReadonlyMap<string, number>,
): readonly ModelFault[] {
  if (scan.kind !== 'model') {
    return [{ reason: 'model.not_onnx', message: scan.message }];
  }
  return [
    ...findRuntimeFaults(scan),
    ...scan.externalData.flatMap((data) => findExternalDataFault(data, companionFiles)),
    ...scan.inputs.flatMap(findInputFault),
    ...findOutputFaults(scan),
  ];
}

/**
 * Whether a location of external data is a bare file name, so that it can only mean a file in the model's own
 * folder. This also refuses ONNX Runtime's in-memory marker, which is a path to it and an address to the runtime.
 */
export function isOwnFolderLocation(location: string): boolean {
  return /^[^/\\:\0]+$/.test(location) && location !== '.' && !location.includes('..');
}

function findRuntimeFaults(scan: ScannedModel): ModelFault[] {
  const faults: ModelFault[] = [];
  if (scan.irVersion > runtimeLimits.irVersion) {
    faults.push({
      reason: 'model.runtime_unsupported',
      message: `the model has IR version ${scan.irVersion}; the runtime loads up to ${runtimeLimits.irVersion}`,
    });
  }
  for (const { domain, version } of scan.opsetImports) {
    if (domain === '' && version > runtimeLimits.opsetVersion) {
      faults.push({
        reason: 'model.runtime_unsupported',
        message: `the model needs operator set ${version}; the runtime has up to ${runtimeLimits.opsetVersion}`,
      });
    }
  }
  return faults;
}

function findExternalDataFault(
  data: ScannedExternalData,
  companionFiles: ReadonlyMap<string, number> | undefined,
): ModelFault[] {
  const fault = (problem: string): ModelFault[] => [
    {
      reason: 'model.external_data',
      message: `external data of '${shorten(data.tensorName)}' ${problem}`,
    },
  ];
  if (data.location === '') {
    return fault('names no file');
  }
  const location = shorten(data.location);
  if (!isOwnFolderLocation(data.location)) {
    return fault(`is at '${location}'; only a file name in the model's own folder is accepted`);
  }
  const { offsetBytes = 0, lengthBytes = 0 } = data;
  if (Number.isNaN(offsetBytes) || Number.isNaN(lengthBytes)) {
    return fault(`in '${location}' has an offset or length that is not a number of bytes`);
  }
  if (companionFiles !== undefined) {
    const sizeBytes = companionFiles.get(data.location);
    if (sizeBytes === undefined) {
      return fault(`is in '${location}', which was not registered with the model`);
    }
    if (offsetBytes + lengthBytes > sizeBytes) {
      return fault(`ends at byte ${offsetBytes + lengthBytes} of '${location}', which has ${sizeBytes}`);
    }
  }
  return [];
}

function findInputFault(input: ScannedValue): ModelFault[] {
  if (input.kind !== 'tensor' && input.kind !== 'unstated') {
    return [
      {
        reason: 'model.input_unsupported',
        message: `input '${shorten(input.name)}' is of kind ${input.kind}; only tensors can be sent`,
      },
    ];
  }
  return findDatatypeFault('input', input);
}

function findOutputFaults(scan: ScannedModel): ModelFault[] {
  // Outputs of other kinds are left out of answers; that is no fault while a tensor remains.
  const tensors = scan.outputs.filter(({ kind }) => kind === 'tensor' || kind === 'unstated');
  if (tensors.length === 0) {
    const kinds = [...new Set(scan.outputs.map(({ kind }) => kind))].join(', ');
    return [
      {
        reason: 'model.no_tensor_output',
        message: `the model has no tensor among its outputs${kinds === '' ? '' : `, only ${kinds}`}`,
      },
    ];
  }
  return tensors.flatMap((output) => findDatatypeFault('output', output));
}

function findDatatypeFault(role: 'input' | 'output', value: ScannedValue): ModelFault[] {
  if (value.elementTypeCode === 0 || (value.elementType && isServableElementType(value.elementType))) {
    return [];
  }
  const elementType = value.elementType ?? `unknown (${value.elementTypeCode})`;
  return [
    {
      reason: 'model.datatype_unsupported',
      message: `${role} '${shorten(value.name)}' has element type ${elementType}, which cannot be served`,
    },
  ];
}

/** Keeps what a stranger named out of the way of the message around it. */
function shorten(name: string): string {
  return name.length <= 100 ? name : `${name.slice(0, 99)}…`;
}
