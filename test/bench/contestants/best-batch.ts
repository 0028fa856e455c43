/**
 * The best number of rows for one run of each model, for the contestants whose batches are set by hand. Found by
 * `npm run bench -- limit`, which tries them all before it measures the loop: from here on, more rows gave no more rows a
 * second on the machine of docs/benchmarks.md.
 */
export const bestBatch: Readonly<Record<string, number>> = { tiny: 64, mid: 64, rank: 64, cnn: 1 };
