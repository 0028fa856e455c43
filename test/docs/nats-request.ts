/**
 * Stands in for `nats request <subject> <payload>` of the NATS command line, which not every machine has: one plain
 * request, its answer on standard output. Started by the shell commands of the documentation under test.
 */
import { connectBare } from '../harness/bare-nats-client.js';

const [verb, subject, payload, ...rest] = process.argv.slice(2);
if (verb !== 'request' || subject === undefined || payload === undefined || rest.length > 0) {
  throw new Error(
    `only 'nats request <subject> <payload>' is known, not: ${process.argv.slice(2).join(' ')}`,
  );
}
const client = await connectBare(process.env.NATS_URL ?? '');
try {
  const answer = await client.request(subject, payload);
  const fault = answer.headers['Nats-Service-Error'];
  if (fault !== undefined) throw new Error(fault);
  console.log(Buffer.from(answer.payload).toString('utf8'));
} finally {
  client.close();
}
