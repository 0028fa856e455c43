/** The JetStream manager of a link; made once, since making one asks the server. */
import type { JetStreamManager } from 'nats';
import type { NatsLink } from './nats-link.js';

const managerTimeoutMs = 5_000;

const managers = new WeakMap<NatsLink, Promise<JetStreamManager>>();
export function streamManager(link: NatsLink): Promise<JetStreamManager> {
  let manager = managers.get(link);
  if (manager === undefined) {
    manager = link.connection.jetstreamManager({ timeout: managerTimeoutMs, checkAPI: false });
    managers.set(link, manager);
  }
  return manager;
}
