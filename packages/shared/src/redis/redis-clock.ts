/**
 * An estimate of the time of the Redis server, from below, on our monotonic clock.
 * Used by the connection to give each write the last moment at which it may still run.
 */

/** How old an estimate may get: two clocks drift apart by a few milliseconds in this time. */
const freshMs = 60_000;

export class RedisClock {
  readonly #monotonicMs: () => number;
  #redisMs: number | undefined;
  #takenAtMs = 0;

  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs;
  }

  /**
   * Takes in a time that the server has just told. It was told before it arrived here, so the estimate is never
   * ahead of the server (unless its clock is set back) and is behind by at most the way of the answer.
   */
  calibrate(redisMs: number): void {
    this.#redisMs = redisMs;
    this.#takenAtMs = this.#monotonicMs();
  }

  /** Drops the estimate. */
  forget(): void {
    this.#redisMs = undefined;
  }

  /** The server's time in `aheadMs` from now; undefined before the first calibration. */
  estimate(aheadMs: number): number | undefined {
    if (this.#redisMs === undefined) return undefined;
    return Math.floor(this.#redisMs + (this.#monotonicMs() - this.#takenAtMs) + aheadMs);
  }

  /** Whether it is time to ask the server again. */
  get stale(): boolean {
    return this.#redisMs === undefined || this.#monotonicMs() - this.#takenAtMs > freshMs;
  }
}

/** The answer to TIME (seconds and microseconds, as texts) in milliseconds. */
export function parseRedisTime(reply: unknown): number {
  if (!Array.isArray(reply)) throw new TypeError('the answer to TIME is not a list');
  return Number(reply[0]) * 1000 + Math.floor(Number(reply[1]) / 1000);
}
