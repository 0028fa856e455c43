/** How a verb of the admin API is made: its arguments are read before it is called. Used by every file of verbs. */
import type { AdminArguments, AdminEndpoint } from '@troupe/shared/nats';
import * as read from './admin-arguments.js';

/** One verb: `<noun>.<verb>`, what it takes, and what it does. */
export function endpoint<S extends read.Shape>(
  subject: `${string}.${string}`,
  shape: S,
  handle: (args: read.Values<S>) => Promise<unknown>,
): AdminEndpoint {
  const [noun = '', verb = ''] = subject.split('.');
  return { noun, verb, handle: async (args: AdminArguments) => handle(read.readArguments(args, shape)) };
}
