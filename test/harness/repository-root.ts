/** Where the repository is, whatever the working folder. */
import { resolve } from 'node:path';

export const repositoryRoot = resolve(import.meta.dirname, '../..');
