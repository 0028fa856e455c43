/** A connection of the bare contestants, with what Troupe's own does to read and to write in fewer steps. */
import { connect, type NatsConnection } from 'nats';
import { readDirectly } from '../../../packages/shared/src/nats/library-reading.js';
import { gatherFlushes } from '../../../packages/shared/src/nats/library-sending.js';

/** `url`: one address, or several with commas between them. */
export async function connectBare(url: string): Promise<NatsConnection> {
  const connection = await connect({ servers: url.split(','), maxReconnectAttempts: 0 });
  gatherFlushes(connection);
  readDirectly(connection, (error) => {
    throw error;
  });
  return connection;
}
