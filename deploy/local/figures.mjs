/**
 * Owns the arithmetic of the proof: what was right, how long it took. Pure; used by prove.mjs.
 */

/**
 * One flower's answer; undefined where none came.
 * @typedef {{ row: number, label: string, answer: string | undefined, ms: number }} Answer
 */
/**
 * @typedef {object} Figures
 * @property {string} model
 * @property {number} requests
 * @property {number} answered
 * @property {number} accuracy 0 to 1, over all; a missing answer is a wrong one
 * @property {number} heldOutAccuracy over the rows that no model was trained on
 * @property {number} heldOutCount
 * @property {number} p50Ms
 * @property {number} p99Ms
 */

/**
 * The value that a share of all values does not exceed (nearest rank).
 * @param {readonly number[]} values
 * @param {number} share
 */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/**
 * @param {string} model
 * @param {readonly Answer[]} answers
 * @param {readonly number[]} heldOutRows
 * @returns {Figures}
 */
export function computeFigures(model, answers, heldOutRows) {
  const heldOut = new Set(heldOutRows);
  const held = answers.filter(({ row }) => heldOut.has(row));
  const times = answers.filter(({ answer }) => answer !== undefined).map(({ ms }) => ms);
  return {
    model,
    requests: answers.length,
    answered: times.length,
    accuracy: accuracy(answers),
    heldOutAccuracy: accuracy(held),
    heldOutCount: held.length,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
  };
}

/** @param {readonly Answer[]} answers */
function accuracy(answers) {
  if (answers.length === 0) return 0;
  return answers.filter(({ label, answer }) => answer === label).length / answers.length;
}

/**
 * The label of the largest output.
 * @param {ArrayLike<number>} scores
 * @param {readonly string[]} labels
 */
export function labelOf(scores, labels) {
  let best = 0;
  for (let i = 1; i < scores.length; i += 1) if ((scores[i] ?? 0) > (scores[best] ?? 0)) best = i;
  return scores.length === labels.length ? labels[best] : undefined;
}

/**
 * Rows of the flowers' CSV file: measurements and the name of the species last.
 * @param {string} text
 */
export function parseFlowers(text) {
  return text
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line, row) => {
      const cells = line.split(',');
      return { row, features: cells.slice(0, -1).map(Number), label: cells.at(-1) ?? '' };
    });
}
