/** How long a runner may say nothing: the machine on a simulated clock. */
import { expect } from 'chai';
import { createActor, SimulatedClock } from 'xstate';
import { type RunnerWatchEvent, runnerWatchMachine } from '../../src/host/runner-watch.js';

function start() {
  const clock = new SimulatedClock();
  const actor = createActor(runnerWatchMachine, { input: { startMs: 10_000, silenceMs: 2_000 }, clock });
  actor.start();
  return {
    pass: (ms: number) => clock.increment(ms),
    hear: (type: RunnerWatchEvent['type'] = 'runner.heard') => actor.send({ type }),
    state: () => actor.getSnapshot().value,
  };
}

describe('the watch over a runner', () => {
  it('gives one that never speaks up after the bound of its start, and a moment more', () => {
    const { pass, state } = start();
    pass(10_000);
    expect(state()).to.equal('doubted');
    pass(99);
    expect(state()).to.equal('doubted');
    pass(1);
    expect(state()).to.equal('mute');
  });

  it('holds one that has spoken to the bound of silence, counted anew at each word', () => {
    const { pass, hear, state } = start();
    pass(9_999);
    hear();
    for (let word = 0; word < 3; word += 1) {
      pass(1_999);
      hear();
      expect(state()).to.equal('attentive');
    }
    pass(2_000);
    expect(state()).to.equal('suspect');
    pass(100);
    expect(state()).to.equal('silent');
  });

  it('takes back a doubt at the first word: a host that was stopped finds its timers due before the words', () => {
    for (const late of [10_000, 2_000]) {
      const { pass, hear, state } = start();
      if (late === 2_000) hear();
      pass(late);
      hear();
      expect(state()).to.equal('attentive');
    }
  });

  it('gives one that has drained a second to end by itself', () => {
    const { pass, hear, state } = start();
    hear('runner.drained');
    pass(999);
    expect(state()).to.equal('leaving');
    pass(1);
    expect(state()).to.equal('stuck');
  });
});
