/** The examination for who has no client yet: it goes as far as it can where no coordinator is there. For `troupe doctor`. */
import { openLink } from './connect.js';
import type { CheckedConnectOptions } from './connect-options.js';
import { type DoctorReport, examineLink } from './doctor.js';

/**
 * Connects, examines, and closes. Rejects where NATS itself cannot be reached or used: `nats.unreachable`,
 * `nats.unauthorized`, `nats.no_jetstream`, `config.invalid`, each of which says what to do.
 */
export async function examineCluster(
  connection: CheckedConnectOptions,
  signal: AbortSignal,
): Promise<DoctorReport> {
  const link = await openLink(connection);
  const stop = () => void link.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await examineLink(link, `${link.servers} (from ${connection.origin})`);
  } finally {
    signal.removeEventListener('abort', stop);
    await link.close();
  }
}
