/**
 * The door for cancels: one coordinator of the queue group deletes a cancelled request that is still queued. (The
 * runner that holds it hears the same message and drops it.)
 */
import type { Log } from '@troupe/shared';
import { type NatsLink, serveCancels } from '@troupe/shared/nats';

/** Opens the door; returns how to close it. */
export function openCancelDoor(link: NatsLink, log: Log): () => void {
  return serveCancels(link, (error) => {
    // What could not be deleted is run, and nobody awaits its answer.
    log.debug({ err: error }, 'a cancelled request could not be deleted');
  });
}
