/** Servers that the user gave by NATS_URL and REDIS_URL, in the form that the harness takes. They are never ended here. */
import type { NatsServer } from '../harness/nats-server.js';
import type { RedisServer } from '../harness/redis-server.js';

/** A server of somebody else's: it can be used, and neither killed nor frozen. */
export function givenServer(url: string, usualPort: number): NatsServer & RedisServer {
  const refuse = (): never => {
    throw new Error(`${url} is not ours: a drill neither ends nor freezes it`);
  };
  return {
    url,
    port: Number(new URL(url.split(',', 1)[0] ?? url).port || usualPort),
    dir: '',
    get pid() {
      return refuse();
    },
    kill: async () => refuse(),
    freeze: refuse,
    thaw: refuse,
    restart: async () => refuse(),
    stop: async () => undefined,
  };
}
