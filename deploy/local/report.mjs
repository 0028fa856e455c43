/**
 * Owns the text of a good start: what runs where, what the proof found, and a request to copy for each door. Pure
 * functions from facts to text for a terminal of 80 columns; called by launch.mjs.
 */

/**
 * @typedef {object} ReportFacts
 * @property {string} root
 * @property {import('./cluster.mjs').Addresses} addresses
 * @property {boolean} natsIsOurs
 * @property {boolean} redisIsOurs
 * @property {boolean} hasNatsCli
 * @property {string} hostName
 * @property {string} devices separated by commas
 * @property {import('./prove.mjs').ProofResult} proof
 */

/** Below this the proof has failed. */
export const minAccuracy = 0.95;

/**
 * Why the proof did not hold, or undefined.
 * @param {import('./prove.mjs').ProofResult} proof
 */
export function proofFault(proof) {
  if (proof.answered < proof.requests) {
    const first = proof.firstFault === undefined ? '' : `; the first fault: ${proof.firstFault}`;
    return `the proof failed: ${proof.requests - proof.answered} of ${proof.requests} requests got no answer${first}`;
  }
  if (proof.accuracy < minAccuracy)
    return `the proof failed: accuracy ${fixed(proof.accuracy)} is below ${minAccuracy}`;
  return undefined;
}

/** @param {ReportFacts} facts */
export function formatReport(facts) {
  const { addresses, proof, hostName } = facts;
  const perBatch = proof.batches > 0 ? `, ${(proof.rows / proof.batches).toFixed(1)} flowers each` : '';
  return `
Troupe is up.

  NATS    ${withoutPassword(addresses.nats)}${facts.natsIsOurs ? '' : ' (yours)'}
  Redis   ${withoutPassword(addresses.redis)}${facts.redisIsOurs ? '' : ' (yours)'}
  host    ${hostName} with ${inWords(facts.devices.split(','))}
  files   .troupe/data and .troupe/logs; addresses in .troupe/cluster.json

Proof: ${proof.answered} of ${proof.requests} iris flowers classified through the client SDK
  accuracy   ${fixed(proof.accuracy)} over all, ${fixed(proof.heldOutAccuracy)} over the ${proof.heldOutCount} that it was not trained on
  latency    p50 ${milliseconds(proof.p50Ms)}, p99 ${milliseconds(proof.p99Ms)} with ${proof.inFlight} requests in flight
  batches    ${proof.batches}${perBatch}
`;
}

/** @param {string[]} names */
function inWords(names) {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/** @param {ReportFacts} facts */
export function formatDoors(facts) {
  const { addresses, root } = facts;
  // In the clone, the SDK and the command line find the cluster by .troupe/cluster.json.
  const go = `cd ${shellWord(root)} && `;
  const nats = withoutPassword(addresses.nats) === addresses.nats ? shellWord(addresses.nats) : '"$NATS_URL"';
  const subject = `${addresses.namespace}.infer.iris`;
  const body = '{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}';
  const sdk =
    "import { connect } from '@troupe/client'; const troupe = await connect(); " +
    "console.log((await troupe.infer('iris', { input: [[5.1, 3.5, 1.4, 0.2]] })).outputs); await troupe.close()";
  const bare =
    "import { connect } from 'nats'; const nc = await connect({ servers: process.env.NATS_URL }); " +
    `const m = await nc.request('${subject}', '${body}', { timeout: 10000 }); console.log(m.string()); await nc.close()`;
  const lines = [
    '',
    'Ask it yourself: each line works in any other terminal.',
    '',
    '  Client SDK',
    `    ${go}node --input-type=module -e "${sdk}"`,
    '',
    '  Command line',
    `    ${go}npx troupe infer iris --input '[[5.1,3.5,1.4,0.2]]'`,
    '',
    `  Plain NATS${facts.hasNatsCli ? '' : ' (with the `nats` command line, which is not installed here)'}`,
    `    nats request --server ${nats} ${subject} '${body}'`,
  ];
  if (!facts.hasNatsCli) {
    lines.push(
      '',
      '  Plain NATS, without it',
      `    ${go}NATS_URL=${nats} node --input-type=module -e ${shellWord(bare)}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/**
 * The one line of `--json`.
 * @param {Pick<ReportFacts, 'addresses' | 'proof'>} facts
 */
export function formatJson({ addresses, proof }) {
  return JSON.stringify({
    ready: true,
    nats: addresses.nats,
    redis: addresses.redis,
    proof: {
      model: proof.model,
      requests: proof.requests,
      accuracy: rounded(proof.accuracy, 4),
      held_out_accuracy: rounded(proof.heldOutAccuracy, 4),
      p50_ms: rounded(proof.p50Ms, 3),
      p99_ms: rounded(proof.p99Ms, 3),
    },
  });
}

/**
 * An address as it may be shown.
 * @param {string} url
 */
export function withoutPassword(url) {
  return url.replace(/\/\/[^@/]*@/g, '//...@');
}

/**
 * A word of a shell's command line, quoted where it must be.
 * @param {string} text
 */
export function shellWord(text) {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** @param {number} ratio */
function fixed(ratio) {
  return ratio.toFixed(3);
}

/** @param {number} ms */
function milliseconds(ms) {
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/**
 * @param {number} value
 * @param {number} digits
 */
function rounded(value, digits) {
  return Number(value.toFixed(digits));
}
