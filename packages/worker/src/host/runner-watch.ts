/**
 * How long a runner may be silent, after its start and later. A machine, so that tests drive it on a simulated clock: each heartbeat enters
 * `attentive` anew and so starts its delay again.
 *
 * Before it gives a runner up it waits a moment more (`doubted`, `suspect`): a host that was itself stopped finds its timers
 * due before it has read the heartbeats that are waiting for it.
 */
import { setup } from 'xstate';

export type RunnerWatchEvent =
  /** A status report, or a step of loading. */
  | { readonly type: 'runner.heard' }
  /** It reported that it has drained, and should end by itself. */
  | { readonly type: 'runner.drained' };

/** In milliseconds. */
export interface RunnerPatience {
  /** From the start of the process to its first word. */
  readonly startMs: number;
  /** From one word to the next. */
  readonly silenceMs: number;
}

/** Between the last delay and the verdict, in milliseconds. */
const graceMs = 100;
/** For a drained runner to end by itself, in milliseconds. */
const leaveMs = 1_000;

/** Ends in `mute` (it never spoke), `silent` (kill either) or `stuck` (it has drained, and stays). */
export const runnerWatchMachine = setup({
  types: {
    context: {} as RunnerPatience,
    input: {} as RunnerPatience,
    events: {} as RunnerWatchEvent,
  },
  delays: {
    start: ({ context }) => context.startMs,
    silence: ({ context }) => context.silenceMs,
    grace: graceMs,
    leave: leaveMs,
  },
}).createMachine({
  id: 'runner-watch',
  context: ({ input }) => input,
  initial: 'starting',
  states: {
    starting: {
      after: { start: 'doubted' },
      on: { 'runner.heard': 'attentive', 'runner.drained': 'leaving' },
    },
    doubted: {
      after: { grace: 'mute' },
      on: { 'runner.heard': 'attentive', 'runner.drained': 'leaving' },
    },
    attentive: {
      after: { silence: 'suspect' },
      on: { 'runner.heard': { target: 'attentive', reenter: true }, 'runner.drained': 'leaving' },
    },
    suspect: {
      after: { grace: 'silent' },
      on: { 'runner.heard': 'attentive', 'runner.drained': 'leaving' },
    },
    leaving: { after: { leave: 'stuck' } },
    mute: { type: 'final' },
    silent: { type: 'final' },
    stuck: { type: 'final' },
  },
});
