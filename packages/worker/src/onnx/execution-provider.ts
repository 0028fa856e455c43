/**
 * Maps a device to the session options that put a model on it, and on nothing else: ONNX Runtime refuses to create
 * a session on `cuda` or `webgpu` where they cannot be used, so a wrong device shows at load and never as a slow
 * run somewhere else. (Names that it does not know it would drop silently; `parseDevice` lets none through.)
 */
import type { Device } from '@troupe/shared';
import type { InferenceSession } from 'onnxruntime-node';

/** Fatal only: what ONNX Runtime says about a model's fault is in the error that it throws as well. */
const logSeverityFatal = 4;

/**
 * Session options of a device. `intraOpThreads` counts the calling thread; 1 means no further ones. Spinning is
 * off: idle pools that spin burn five times the processor time of the runs themselves (measured, 1.30).
 */
export function sessionOptions(device: Device, intraOpThreads: number): InferenceSession.SessionOptions {
  return {
    executionProviders: [executionProvider(device)],
    intraOpNumThreads: intraOpThreads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: logSeverityFatal,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  };
}

function executionProvider(device: Device): InferenceSession.ExecutionProviderConfig {
  switch (device.kind) {
    case 'cpu':
      return 'cpu';
    case 'cuda':
      return { name: 'cuda', deviceId: device.index };
    case 'webgpu':
      // The runtime takes the system's first adapter; it refuses `deviceId` (1.30), so there is no other one.
      return 'webgpu';
  }
}
