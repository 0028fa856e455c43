/**
 * Owns the one check that must run before anything else: is this Node new enough? Called by the two entry files.
 * Plain old syntax and no imports, so that an old Node parses it and says what is wrong.
 */

/** Oldest Node that Troupe runs on. */
export const minNodeVersion = '20.19.0';

/**
 * The line that says what is wrong with this Node, or undefined.
 * @param {string} version such as `20.20.2`
 * @returns {string | undefined}
 */
export function nodeVersionFault(version) {
  const have = version.split('.').map(Number);
  const need = minNodeVersion.split('.').map(Number);
  for (let i = 0; i < need.length; i += 1) {
    const difference = (have[i] || 0) - (need[i] || 0);
    if (difference > 0) return undefined;
    if (difference < 0) {
      return `Troupe needs Node 20.19 or newer, and this is Node ${version}: install a newer one, then try again`;
    }
  }
  return undefined;
}
