/** The command line of the conformance run. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface ConformanceArguments {
  readonly folder: string;
  readonly only: RegExp | undefined;
  readonly wave: number;
}

export const usage = `usage: npm run conformance -- <folder> [--only <pattern>] [--wave <n>]
  <folder>   a folder of cases: manifest.json, and the cases that it names
  --only     replay only cases whose id or path the regular expression finds
  --wave     models that are registered at the same time (default 16)`;

/** Reads the arguments, or says in one line what is wrong with them. */
export function parseConformanceArguments(
  argv: readonly string[],
): ConformanceArguments | { readonly fault: string } {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { only: { type: 'string' }, wave: { type: 'string', default: '16' } },
    });
    const [given, ...rest] = positionals;
    if (given === undefined || rest.length > 0) return { fault: 'one folder of cases is wanted' };
    const folder = resolve(given);
    if (!existsSync(join(folder, 'manifest.json'))) return { fault: `${folder} has no manifest.json` };
    const wave = Number(values.wave);
    if (!Number.isInteger(wave) || wave < 1 || wave > 200)
      return { fault: `--wave ${values.wave}: a whole number from 1 to 200 is wanted` };
    return { folder, only: values.only === undefined ? undefined : new RegExp(values.only), wave };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}
