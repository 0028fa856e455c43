/** Troupe with OpenTelemetry's SDK in the client, the coordinator, the host and the runners, exporting to a file. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { repositoryRoot } from '../../harness/repository-root.js';
import { removeDirectory, temporaryDirectory } from '../../harness/server-process.js';
import { startChild } from '../child.js';
import type { LoadResult } from '../closed-loop.js';
import type { LoadCall } from '../load-generator.js';
import type { Contestant } from './contestant.js';
import { startBenchCluster } from './troupe-cluster.js';

const tracing = pathToFileURL(join(repositoryRoot, 'test/harness/tracing.mjs')).href;

/**
 * As docs/tracing.md has it: before Node 24 a context manager has Node tell its hooks of every promise, and nothing in these
 * processes asks for an active span. `TRACE_CONTEXT_MANAGER=default` measures with one.
 */
const contextManager =
  process.env.TRACE_CONTEXT_MANAGER ?? (Number.parseInt(process.versions.node, 10) < 24 ? 'none' : 'default');

/** `given` is a folder for spans that outlasts the contestant. */
function traced(
  name: string,
  why: string,
  settings: Readonly<Record<string, string>>,
  given?: string,
): Contestant {
  return {
    name,
    why,
    async start(stage) {
      const folder = given ?? temporaryDirectory('bench-traces');
      // Owned before the cluster is, so that it goes after it: until they end, its processes write there.
      if (given === undefined) stage.own({ stop: async () => removeDirectory(folder) });
      const env = {
        NODE_OPTIONS: `--import=${tracing}`,
        TRACE_FOLDER: folder,
        TRACE_CONTEXT_MANAGER: contextManager,
        ...settings,
      };
      const cluster = stage.own(await startBenchCluster(stage.intraOpThreads, undefined, env));
      const load = await startChild<LoadCall, LoadResult>('./load-generator.ts', [], env);
      const { natsUrl, namespace } = cluster;
      return {
        async measure(model, order) {
          const servedAs = await cluster.serve({ model });
          return load.call({ ...order, model, servedAs, address: { kind: 'sdk', natsUrl, namespace } });
        },
        stop: () => load.stop(),
      };
    },
  };
}

/**
 * One trace in a hundred, as busy services are traced; which one, the client says (`TROUPE_TRACE_SHARE`). Until there is a
 * file `on` in the folder, where its spans go too, its SDK is loaded and does nothing.
 */
export function tracedFrom(name: string, folder: string): Contestant {
  return traced(
    name,
    'The same as the other, so that nothing but the traces is between them.',
    { TROUPE_TRACE_SHARE: '0.01', TRACE_FROM: join(folder, 'on') },
    folder,
  );
}

export const sampledInPart = traced(
  'sampled-1%',
  "One trace in a hundred, said by OpenTelemetry's sampler, which is asked about every request.",
  { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.01' },
);
export const tracedWhole = traced('traced-all', 'Every request, two spans each.', {});
