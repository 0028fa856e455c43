/**
 * The spans of answered requests, made some at a time. OpenTelemetry's SDK is much code that a runner seldom needs: with one
 * request in a hundred traced, each span found the processor's caches full of other things, and took 150 µs where one that
 * follows another takes 10 to 20.
 */
import { type AnsweredRequest, type Log, traceAnswered } from '@troupe/shared';

/** Small beside the five seconds after which an SDK exports; what a runner loses that is killed. */
const gatherMs = 100;
/** Made in one turn of the loop, in which no request moves. */
const mostAtOnce = 64;

export class AnsweredTraces {
  readonly #log: Log;
  readonly #make: (request: AnsweredRequest) => void;
  #gathered: AnsweredRequest[] = [];
  #timer: NodeJS.Timeout | undefined;
  #faulted = false;

  constructor(log: Log, make = traceAnswered) {
    this.#log = log;
    this.#make = make;
  }

  /** Notes a request whose span is wanted; it is made within 100 ms. */
  add(request: AnsweredRequest): void {
    this.#gathered.push(request);
    if (this.#gathered.length >= mostAtOnce) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), gatherMs);
  }

  /** Makes all spans that are still to be made; afterwards no timer is left. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const gathered = this.#gathered;
    this.#gathered = [];
    for (const request of gathered) {
      try {
        this.#make(request);
      } catch (error) {
        // What the process brought along to trace with is not ours, and no reason to lose a runner.
        if (!this.#faulted) this.#log.warn({ err: error }, 'a span could not be made; said once');
        this.#faulted = true;
      }
    }
  }
}
