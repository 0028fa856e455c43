/**
 * How long a runner may be silent. A machine, so that tests drive it on a simulated clock: each heartbeat enters
 * `attentive` anew and so starts its delay again.
 *
 * Before it calls a runner silent it waits a moment more (`suspect`): a host that was itself stopped finds its timers
 * due before it has read the heartbeats that are waiting for it.
 */
import { setup } from 'xstate';

export type RunnerWatchEvent =
  /** A status report, or a step of loading. */
  | { readonly type: 'runner.heard' }
  /** It reported that it has drained, and should end by itself. */
  | { readonly type: 'runner.drained' };

/** Between the last delay and the verdict, in milliseconds. */
const graceMs = 100;
/** For a drained runner to end by itself, in milliseconds. */
const leaveMs = 1_000;

/** Ends in `silent` (kill it) or `stuck` (it has drained, and stays). A runner that never spoke is under its load limit. */
export const runnerWatchMachine = setup({
  types: {
    context: {} as { readonly silenceMs: number },
    input: {} as { readonly silenceMs: number },
    events: {} as RunnerWatchEvent,
  },
  delays: { silence: ({ context }) => context.silenceMs, grace: graceMs, leave: leaveMs },
}).createMachine({
  id: 'runner-watch',
  context: ({ input }) => ({ silenceMs: input.silenceMs }),
  initial: 'starting',
  states: {
    starting: { on: { 'runner.heard': 'attentive', 'runner.drained': 'leaving' } },
    attentive: {
      after: { silence: 'suspect' },
      on: { 'runner.heard': { target: 'attentive', reenter: true }, 'runner.drained': 'leaving' },
    },
    suspect: {
      after: { grace: 'silent' },
      on: { 'runner.heard': 'attentive', 'runner.drained': 'leaving' },
    },
    leaving: { after: { leave: 'stuck' } },
    silent: { type: 'final' },
    stuck: { type: 'final' },
  },
});
