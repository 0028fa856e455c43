/** Assertions on TroupeErrors: reason and words of the message. */
import { type ErrorReason, TroupeError } from '@troupe/shared';
import { expect } from 'chai';

function assertError(thrown: unknown, reason: ErrorReason, words: readonly string[]): TroupeError {
  expect(thrown, 'nothing was thrown').to.be.instanceOf(TroupeError);
  const error = thrown as TroupeError;
  expect(error.reason, error.message).to.equal(reason);
  for (const word of words) expect(error.message).to.include(word);
  return error;
}

/** Runs something that must throw. */
export function expectThrow(run: () => unknown, reason: ErrorReason, ...words: string[]): TroupeError {
  let thrown: unknown;
  try {
    run();
  } catch (error) {
    thrown = error;
  }
  return assertError(thrown, reason, words);
}

/** Awaits something that must reject. */
export async function expectReject(
  work: Promise<unknown>,
  reason: ErrorReason,
  ...words: string[]
): Promise<TroupeError> {
  let thrown: unknown;
  try {
    await work;
  } catch (error) {
    thrown = error;
  }
  return assertError(thrown, reason, words);
}
