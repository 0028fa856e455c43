/** Owns where the clone is: two folders up. Used by the entries' modules; nothing else derives it. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = resolve(fileURLToPath(new URL('../..', import.meta.url)));
