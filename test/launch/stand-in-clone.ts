/** A folder that looks like a clone to npm, and whose `npm start` runs the true launcher on stand-ins. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export interface StandInClone {
  readonly root: string;
  /** What the stand-ins have noted. */
  notes(): string[];
  remove(): void;
}

export function createStandInClone(): StandInClone {
  const root = mkdtempSync(join(tmpdir(), 'troupe launch-'));
  const launch = resolve('test/launch/stand-in/launch.mjs');
  const start = `exec node '${launch}'`;
  writeFileSync(
    join(root, 'package.json'),
    JSON.stringify({ name: 'stand-in', version: '1.0.0', private: true, type: 'module', scripts: { start } }),
  );
  writeFileSync(join(root, 'notes'), '');
  return {
    root,
    notes: () => readFileSync(join(root, 'notes'), 'utf8').trimEnd().split('\n'),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}
