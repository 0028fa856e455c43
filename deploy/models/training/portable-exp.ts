/**
 * The exponential function from IEEE 754 basic operations alone.
 *
 * `Math.exp` may differ in its last digit between versions of the engine, which a thousand steps of training
 * would carry into the weights; with this the committed models can be rebuilt bit for bit anywhere.
 */

// ln 2 in two parts, the first so short that k · ln2High is exact (as in fdlibm's exp).
const ln2High = 0.6931471803691238;
const ln2Low = 1.9082149292705877e-10;

/** e to the power of x, to within a few units in the last place; 0 below -700, Infinity above 700. */
export function portableExp(x: number): number {
  if (x < -700) return 0;
  if (x > 700) return Number.POSITIVE_INFINITY;
  const k = Math.round(x / Math.LN2);
  const rest = x - k * ln2High - k * ln2Low; // |rest| <= ln 2 / 2
  let sum = 1;
  for (let term = 17; term >= 1; term -= 1) {
    sum = 1 + (rest * sum) / term; // Taylor series by Horner's scheme; rest^18 / 18! is below 1e-24
  }
  const base = k < 0 ? 0.5 : 2;
  for (let step = Math.abs(k); step > 0; step -= 1) {
    sum *= base; // exact: only the exponent changes
  }
  return sum;
}
