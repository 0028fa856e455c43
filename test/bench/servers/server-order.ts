/** What a server of the benchmark is started with. */
import type { BenchModel } from '../bench-model.js';

export interface ServerOrder {
  readonly models: readonly {
    readonly model: BenchModel /** Most rows of one run. */;
    readonly maxRows: number;
  }[];
  readonly intraOpThreads: number;
}
