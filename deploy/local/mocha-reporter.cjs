/**
 * Mocha's spec reporter that also writes one letter for each outcome to a file: p(assed), f(ailed), s(kipped), and e at
 * the end. So run-tests.mjs can count them even where the test process dies half way.
 */
'use strict';
const { appendFileSync } = require('node:fs');
const { reporters, Runner } = require('mocha');

const { EVENT_TEST_PASS, EVENT_TEST_FAIL, EVENT_TEST_PENDING, EVENT_RUN_END } = Runner.constants;

/** Well below the time that run-tests.mjs gives the process after its last test. */
const tellOpenMs = 10_000;

class CountingReporter extends reporters.Spec {
  /**
   * @param {import('mocha').Runner} runner
   * @param {import('mocha').MochaOptions} options
   */
  constructor(runner, options) {
    super(runner, options);
    const path = options.reporterOptions.outcomes;
    const note = (/** @type {string} */ letter) => () => appendFileSync(path, letter);
    runner.on(EVENT_TEST_PASS, note('p'));
    runner.on(EVENT_TEST_FAIL, note('f'));
    runner.on(EVENT_TEST_PENDING, note('s'));
    runner.on(EVENT_RUN_END, note('e'));
    runner.on(EVENT_RUN_END, () => {
      // Fires only where something else keeps the process alive: then it says what, before run-tests.mjs ends it.
      setTimeout(
        () => console.error('still open:', process.getActiveResourcesInfo().join(', ')),
        tellOpenMs,
      ).unref();
    });
  }
}

module.exports = CountingReporter;
