/**
 * A session of ONNX Runtime as every contestant opens it: one intra-op thread more or less than another would compare
 * machines and not ways. Troupe's runners have the same options (packages/worker/src/onnx/execution-provider.ts).
 */
import * as ort from 'onnxruntime-node';

// Telemetry is on by default and is decided at the first session.
process.env.ORT_DISABLE_TELEMETRY = '1';

export interface BenchSession {
  /** Runs rows; resolves with the output's values, which are the caller's. */
  run(data: Float32Array, shape: readonly number[]): Promise<Float32Array>;
  close(): Promise<void>;
}

export async function openSession(path: string, intraOpThreads: number): Promise<BenchSession> {
  const session = await ort.InferenceSession.create(path, {
    executionProviders: ['cpu'],
    intraOpNumThreads: intraOpThreads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  return {
    async run(data, shape) {
      const { output } = await session.run({ input: new ort.Tensor('float32', data, shape) });
      return output?.data as Float32Array;
    },
    close: () => session.release(),
  };
}
