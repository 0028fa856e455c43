/** Time that all processes of a machine share, whatever is done to the clock on the wall. */

/** From this process's `performance.now()` to the machine's monotonic clock, in milliseconds. */
const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** A time of `performance.now()`, default the present one, on the machine's monotonic clock, in milliseconds. */
export function machineClockMs(ownMs: number = performance.now()): number {
  return ownMs + offsetMs;
}
