/** The bundled iris model in a test cluster. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TroupeClient } from '@troupe/client';
import type { GoldenCase } from '@troupe/shared';
import { repositoryRoot } from './repository-root.js';

/** Registers version 1 and waits until it serves. */
export async function registerIris(client: TroupeClient, replicas = 2): Promise<void> {
  const folder = join(repositoryRoot, 'deploy/models/iris/v1');
  await client.registerModel({
    name: 'iris',
    file: join(folder, 'model.onnx'),
    golden: (JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as { cases: GoldenCase[] }).cases,
    replicas,
  });
}
