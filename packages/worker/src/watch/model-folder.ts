/**
 * Reads a folder of models, laid out as Triton and TF Serving have it: `<model>/<version>/<any>.onnx`. The folder with
 * the highest number is the one that counts. Pure but for reading; called by `folder-watch.ts`.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseModelName, quoteName, TroupeError } from '@troupe/shared';

/** The file of a model that should be live. */
export interface WatchedModel {
  readonly model: string;
  /** Number of its folder; the registry gives numbers of its own. */
  readonly folder: number;
  readonly path: string;
}

/** What a folder holds, and what in it cannot be used. */
export interface ModelFolder {
  readonly models: readonly WatchedModel[];
  /** In plain words, one for each model that is left out. */
  readonly problems: readonly string[];
}

const versionPattern = /^[1-9][0-9]{0,8}$/;

async function foldersIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true });
  return entries
    .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
}

async function readModel(root: string, model: string): Promise<WatchedModel | string> {
  const versions = (await foldersIn(join(root, model)))
    .filter((name) => versionPattern.test(name))
    .map(Number)
    .sort((a, b) => b - a);
  const folder = versions[0];
  if (folder === undefined)
    return `${model} has no version folder: put its file into ${join(model, '1', 'model.onnx')}`;
  const path = join(root, model, String(folder));
  const files = (await readdir(path)).filter((name) => name.endsWith('.onnx') && !name.startsWith('.'));
  const [file, second] = files.sort();
  if (file === undefined) return `${join(model, String(folder))} holds no .onnx file`;
  if (second !== undefined)
    return `${join(model, String(folder))} holds ${files.length} .onnx files: leave one`;
  return { model, folder, path: join(path, file) };
}

/** What is in the folder now. Throws `config.invalid` where it cannot be read. */
export async function readModelFolder(root: string): Promise<ModelFolder> {
  let names: string[];
  try {
    names = await foldersIn(root);
  } catch (cause) {
    throw new TroupeError(
      'config.invalid',
      `the folder ${quoteName(root)} cannot be watched: ${(cause as Error).message}`,
      { cause },
    );
  }
  const models: WatchedModel[] = [];
  const problems: string[] = [];
  for (const name of names) {
    try {
      const found = await readModel(root, parseModelName(name));
      if (typeof found === 'string') problems.push(found);
      else models.push(found);
    } catch (error) {
      // A name that is no model's, or a folder that went away while it was read.
      problems.push((error as Error).message);
    }
  }
  return { models, problems };
}
