/** Polls an assertion until it holds: the only way in which tests wait for something to become true. */
import { inspect } from 'node:util';

export interface WaitOptions {
  /** Default 30,000: what must come, comes on a slow machine, too. */
  readonly timeoutMs?: number;
  /** Default 20. */
  readonly everyMs?: number;
}

type Falsy = false | 0 | '' | null | undefined;

/**
 * Resolves with the first truthy value of `check`. A check that throws counts as 'not yet', so it may hold
 * assertions; a check that hangs is cut off by the deadline. The failure has the message and the last value.
 */
export async function waitUntil<T>(
  message: string,
  check: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, Falsy>> {
  const timeoutMs = options.timeoutMs ?? 30_000;
  const everyMs = options.everyMs ?? 20;
  let last = 'nothing: the first check never ended';
  let lastThrown: unknown;
  let over = false;
  let deadline: NodeJS.Timeout | undefined;
  const failure = new Error(); // made here, so that its stack names the test and not a timer
  const expired = new Promise<never>((_, reject) => {
    deadline = setTimeout(() => {
      over = true;
      failure.message = `waited ${timeoutMs} ms until ${message}; last: ${last}`;
      if (lastThrown !== undefined) failure.cause = lastThrown;
      reject(failure);
    }, timeoutMs);
  });
  const poll = async (): Promise<Exclude<T, Falsy>> => {
    while (!over) {
      try {
        const value = await check();
        if (value) return value as Exclude<T, Falsy>;
        last = inspect(value, { depth: 4 });
        lastThrown = undefined;
      } catch (thrown) {
        last = `thrown: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
        lastThrown = thrown;
      }
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    return expired;
  };
  try {
    return await Promise.race([poll(), expired]);
  } finally {
    clearTimeout(deadline);
  }
}
