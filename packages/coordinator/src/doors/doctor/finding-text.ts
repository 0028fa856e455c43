/** How findings are worded: figures, lists and versions. Used by all judges; decides nothing. */
import type { Finding, FindingState } from '@troupe/shared';

export function finding(check: string, state: FindingState, found: string, advice?: string): Finding {
  return { check, state, found, ...(advice === undefined ? {} : { advice }) };
}

/** Bytes in MiB, below 1 MiB in KiB: the units in which servers take their limits. */
export function mebibytes(bytes: number): string {
  const kib = bytes / 1024;
  if (kib < 1024) return `${Math.round(kib)} KiB`;
  const mib = kib / 1024;
  return `${mib < 10 && !Number.isInteger(mib) ? mib.toFixed(1) : Math.round(mib)} MiB`;
}

export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

const listedAtMost = 5;

/** The first few of them, and how many more there are. */
export function listed(names: readonly string[]): string {
  const more = names.length - listedAtMost;
  return names.slice(0, listedAtMost).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** Whether dotted version `version` is `least` or newer; false where it is no version. */
export function atLeast(version: string, least: string): boolean {
  const numbers = (text: string) => (/^v?(\d+(?:\.\d+)*)/.exec(text)?.[1] ?? '').split('.').map(Number);
  const found = numbers(version);
  if (version === '' || found.some((part) => Number.isNaN(part)) || !/^v?\d/.test(version)) return false;
  for (const [place, wanted] of numbers(least).entries()) {
    const part = found[place] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}
