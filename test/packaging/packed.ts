/**
 * The packages as npm would publish them: packed from the built dist into a folder of the caller's. Used by the tests
 * of packaging; publishes nothing.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { npmEnvironment } from '../../deploy/local/packages.mjs';
import { repositoryRoot } from '../harness/repository-root.js';

export const packageNames = ['shared', 'client', 'worker', 'coordinator'] as const;
export type PackageName = (typeof packageNames)[number];

export interface PackedPackage {
  readonly tarball: string;
  /** Paths inside the package, such as `dist/index.js`. */
  readonly files: readonly string[];
}

const run = promisify(execFile);

/**
 * Runs a program with npm's settings of this process, but neither those of the npm script that it runs in nor what
 * a developer has set for a cluster of his own.
 */
export async function runIn(folder: string, program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run(program, [...args], {
    cwd: folder,
    env: Object.fromEntries(
      Object.entries(npmEnvironment()).filter(([key]) => !/^(TROUPE|NATS|REDIS)_/.test(key)),
    ),
    timeout: 120_000,
    maxBuffer: 16 * 1024 * 1024,
  }).catch((error: Error & { stdout?: string; stderr?: string }) => {
    throw new Error(`${program} ${args.join(' ')}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  });
  return stdout;
}

/** Packs one package into `folder`. */
export async function packPackage(name: PackageName, folder: string): Promise<PackedPackage> {
  const report = await runIn(join(repositoryRoot, 'packages', name), 'npm', [
    'pack',
    '--json',
    '--ignore-scripts',
    `--pack-destination=${folder}`,
  ]);
  const [packed] = Object.values(
    JSON.parse(report) as Record<string, { filename: string; files: { path: string }[] }>,
  );
  if (packed === undefined) throw new Error(`npm pack named no tarball for ${name}`);
  return { tarball: join(folder, packed.filename), files: packed.files.map(({ path }) => path) };
}
