/** Asks Troupe by its client SDK, just as a service does: one client, one call for each request. */
import { connect, type InferResult, tensor } from '@troupe/client';
import type { Address, OpenDoor } from '../load-generator.js';

export const openSdkDoor: OpenDoor<Extract<Address, { namespace: string }>> = async (
  { natsUrl, namespace },
  model,
  servedAs,
  inputs,
) => {
  const client = await connect({ servers: natsUrl, namespace });
  const values = inputs.map((data) => ({ input: tensor(data, [1, ...model.rowShape]) }));
  return {
    ask: (row) => client.infer(servedAs, values[row] as (typeof values)[number]),
    valuesOf: ({ outputs }: InferResult) => outputs.output?.data as Float32Array,
  };
};
