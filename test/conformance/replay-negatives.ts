/**
 * Models that must not load or run: each is refused with a typed error, or serves and answers its request with one.
 * Neither a host nor a coordinator nor another model's runner may die of it: one model serves all the while.
 */
import type { TroupeClient } from '@troupe/client';
import type { TestCluster } from '../harness/cluster.js';
import { type CaseFolder, loadSet, type NegativeCase, readModel } from './case-folder.js';
import { type Doors, forms } from './doors.js';
import { isTyped } from './plain-door.js';
import { textOf } from './replay-case.js';
import type { Resident } from './resident.js';
import type { Tally } from './tally.js';

export interface NegativeContext {
  readonly folder: CaseFolder;
  readonly cluster: TestCluster;
  readonly client: TroupeClient;
  readonly doors: Doors;
  readonly resident: Resident;
  readonly tally: Tally;
}

/** Tries one of them; faults go to the tally. Never rejects. */
export async function replayNegative(context: NegativeContext, negative: NegativeCase): Promise<void> {
  const { tally, resident } = context;
  const faults: string[] = [];
  const before = resident.pids();
  try {
    const fault = await refuseOrFail(context, negative);
    if (fault !== undefined) faults.push(fault);
    const bystander = await resident.findFault();
    if (bystander !== undefined) faults.push(`the model beside it answers wrongly: ${bystander}`);
  } catch (error) {
    faults.push(textOf(error));
  }
  const after = resident.pids();
  if (after !== before) faults.push(`processes have died: they were ${before}, they are ${after}`);
  if (faults.length === 0) tally.negatives.passed += 1;
  else tally.negatives.failed += 1;
  for (const fault of faults) tally.faults.push(`${negative.id} (${negative.class}): ${fault}`);
}

async function refuseOrFail(
  { folder, client, doors, tally }: NegativeContext,
  negative: NegativeCase,
): Promise<string | undefined> {
  const name = negative.id;
  tally.requests += 1;
  try {
    await client.registerModel({ name, bytes: readModel(folder, negative), replicas: 1 });
  } catch (error) {
    if (!isTyped(error)) return `refused with an error that has no type: ${textOf(error)}`;
    const left = (await client.models()).some((model) => model.name === name);
    return left ? 'it was refused, and is in the registry' : undefined;
  }
  try {
    if (negative.request === undefined) return 'it was registered, though it cannot serve';
    const set = loadSet(folder, negative, negative.request);
    const given = {
      sdk: undefined,
      json: set.jsonRequest === undefined ? undefined : { payload: set.jsonRequest },
      binary: set.binaryRequest,
    };
    // Twice: what one bad run leaves behind would show in the second.
    for (const form of [...forms, ...forms]) {
      tally.requests += 1;
      try {
        await doors.ask(form, name, set.inputs, { given: given[form] });
        return `its request was answered by ${form}, and must fail`;
      } catch (error) {
        if (!isTyped(error)) return `its request failed by ${form} without a type: ${textOf(error)}`;
      }
    }
    return undefined;
  } finally {
    await client.deleteModel(name);
  }
}
