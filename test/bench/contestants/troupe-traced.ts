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

/** With this share of the traces sampled, from 0 to 1, as the caller decides. */
function traced(name: string, why: string, share: number): Contestant {
  return {
    name,
    why,
    async start(stage) {
      const folder = temporaryDirectory('bench-traces');
      const env = {
        NODE_OPTIONS: `--import=${tracing}`,
        TRACE_FOLDER: folder,
        OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
        OTEL_TRACES_SAMPLER_ARG: String(share),
      };
      const cluster = stage.own(await startBenchCluster(stage.intraOpThreads, undefined, env));
      const load = await startChild<LoadCall, LoadResult>('./load-generator.ts', [], env);
      const { natsUrl, namespace } = cluster;
      return {
        async measure(model, order) {
          const servedAs = await cluster.serve({ model });
          return load.call({ ...order, model, servedAs, address: { kind: 'sdk', natsUrl, namespace } });
        },
        async stop() {
          await load.stop();
          removeDirectory(folder);
        },
      };
    },
  };
}

export const tracedInPart = traced(
  'traced-1%',
  'One trace in a hundred, which is how busy services are traced.',
  0.01,
);
export const tracedWhole = traced('traced-all', 'Every request, two spans each.', 1);
