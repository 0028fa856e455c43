/**
 * Writes the API reference of the client SDK as Markdown, from its docstrings: `npm run docs:api`, into docs/api, which
 * git ignores. Fails where something exported has no docstring or names a type that is not exported. TypeDoc reads
 * types through the compiler's programming interface, which TypeScript 7 does not have: so this folder has a
 * TypeScript of its own beside the one that builds Troupe.
 *
 * Arguments: the folder to write to, if it is another one.
 */
import { join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Application } from 'typedoc';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '../..');
const out = resolve(process.argv[2] ?? join(root, 'docs/api'));

const application = await Application.bootstrapWithPlugins({
  plugin: ['typedoc-plugin-markdown'],
  name: '@troupe/client',
  outputs: [{ name: 'markdown', path: out }],
  entryPoints: [join(root, 'packages/client/src/index.ts')],
  tsconfig: join(here, 'tsconfig.json'),
  basePath: root,
  readme: 'none',
  disableSources: true,
  excludeInternal: true,
  logLevel: 'Warn',
  validation: { notExported: true, invalidLink: true, notDocumented: true },
  requiredToBeDocumented: ['Class', 'Function', 'Interface', 'TypeAlias', 'Variable', 'Enum'],
  // A name for what the platform has: the reader knows it from there.
  intentionallyNotExported: ['TypedArray'],
});
const project = await application.convert();
if (project === undefined) process.exit(1);
application.validate(project);
if (application.logger.hasErrors() || application.logger.hasWarnings()) process.exit(1);
await application.generateOutputs(project);
process.exit(application.logger.hasErrors() || application.logger.hasWarnings() ? 1 : 0);
