/**
 * What a person sees while something takes long: one line that lives on a terminal, with a bar where bytes are counted
 * and elapsed seconds where they are not. Elsewhere one plain line, and only for what takes longer than two seconds.
 * Writes to the stream that it is given and nowhere else; a run with `--json` has none.
 */
import type { CliStream } from './command-context.js';
import { formatBytes, plainWidth, showControls } from './format-table.js';

/** What is going on. A step with another text is another step, whose time starts anew. */
export interface ProgressStep {
  readonly text: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

export interface ProgressBar {
  show(step: ProgressStep): void;
  /** Takes the line away, so that what is printed next stands alone. Idempotent. */
  end(): void;
}

/** Time as the line needs it. */
export interface ProgressClock {
  /** Monotonic, in milliseconds. */
  now(): number;
  /** Calls back again and again; returns how to stop. */
  every(ms: number, call: () => void): () => void;
}

/** Between two pictures; what is over sooner is never drawn. */
const frameMs = 100;
/** From here on a log is told once. */
const plainAfterMs = 2_000;
const widestBar = 24;
const narrowBar = 10;
const eraseLine = '\r\u001b[K';

const systemClock: ProgressClock = {
  now: () => performance.now(),
  every(ms, call) {
    const timer = setInterval(call, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** Nothing, for runs whose output is read by programs. */
export const noProgress: ProgressBar = { show: () => undefined, end: () => undefined };

/** Draws on the stream while there is something to show. */
export function createProgressBar(stream: CliStream, clock: ProgressClock = systemClock): ProgressBar {
  const terminal = stream.isTTY === true;
  let step: ProgressStep | undefined;
  let startedAtMs = 0;
  let told = false;
  let drawn = false;
  let stop: (() => void) | undefined;

  function tick(): void {
    if (step === undefined) return;
    const elapsedMs = clock.now() - startedAtMs;
    if (terminal) {
      stream.write(`${eraseLine}${renderProgress(step, elapsedMs, stream.columns ?? plainWidth)}`);
      drawn = true;
    } else if (!told && elapsedMs > plainAfterMs) {
      told = true;
      stream.write(`${showControls(step.text)}\n`);
    }
  }

  return {
    show(next) {
      if (next.text !== step?.text) {
        startedAtMs = clock.now();
        told = false;
      }
      step = next;
      stop ??= clock.every(frameMs, tick);
    },
    end() {
      stop?.();
      stop = undefined;
      step = undefined;
      if (drawn) stream.write(eraseLine);
      drawn = false;
    },
  };
}

/** The line of a moment, never wider than a terminal of `columns` shows without wrapping. */
export function renderProgress(step: ProgressStep, elapsedMs: number, columns: number): string {
  const room = Math.max(0, columns - 1);
  const text = showControls(step.text);
  const { doneBytes, totalBytes } = step;
  if (doneBytes === undefined || totalBytes === undefined) {
    const elapsed = elapsedMs < 1_000 ? '' : `, ${formatElapsed(elapsedMs)}`;
    return fit(text, elapsed, room);
  }
  const ratio = totalBytes === 0 ? 1 : Math.min(1, Math.max(0, doneBytes / totalBytes));
  const percent = ` ${String(Math.floor(ratio * 100)).padStart(3)} %`;
  const counted = `${percent}, ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
  const tails = [
    ` [${bar(ratio, widestBar)}]${counted}`,
    ` [${bar(ratio, narrowBar)}]${counted}`,
    ` [${bar(ratio, narrowBar)}]${percent}`,
  ];
  return fit(text, tails.find((tail) => text.length + tail.length <= room) ?? percent, room);
}

function bar(ratio: number, width: number): string {
  const full = Math.floor(ratio * width);
  return `${'#'.repeat(full)}${'-'.repeat(width - full)}`;
}

/** What changes is kept whole where there is room for it; the text gives way. */
function fit(text: string, tail: string, room: number): string {
  const forText = room - tail.length;
  if (forText >= text.length) return `${text}${tail}`;
  if (forText < 4) return text.slice(0, room);
  return `${text.slice(0, forText - 1)}~${tail}`;
}

function formatElapsed(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
