/** Replays one case: registers its model, sends every set in every form, once alone and many at once, deletes it. */
import type { TroupeClient } from '@troupe/client';
import type { Tensor } from '@troupe/shared';
import { type CaseFolder, type LoadedSet, loadSet, type PositiveCase, readModel } from './case-folder.js';
import { findFault } from './compare-answer.js';
import { type Doors, type Form, forms, type GivenBody } from './doors.js';
import { rowVariants, type Variant } from './row-variants.js';
import type { Tally } from './tally.js';

/** What batching may change where the set itself is compared within a tolerance; the trial's own bound is no wider. */
const batchTolerance = { absolute: 1e-5, relative: 1e-3 };

export interface ReplayContext {
  readonly folder: CaseFolder;
  readonly client: TroupeClient;
  readonly doors: Doors;
  readonly tally: Tally;
  /** Requests with each set that are in flight together. */
  readonly copies: number;
  /** Lets few models be tried and loaded at a time. */
  readonly whileLoading: <T>(load: () => Promise<T>) => Promise<T>;
}

/** A case whose model is registered. */
type Registered = PositiveCase & { readonly version: number };

/** Replays a case; faults go to the tally. Never rejects. */
export async function replayCase(context: ReplayContext, positive: PositiveCase): Promise<void> {
  const { folder, client, tally, whileLoading } = context;
  const model = positive.model_name;
  try {
    const { version } = await whileLoading(() =>
      client.registerModel({ name: model, bytes: readModel(folder, positive), replicas: 1 }),
    );
    tally.models += 1;
    const details = await client.model(model);
    const merges = details.versions[0]?.batchable === true;
    for (const set of positive.sets) {
      await replaySet(context, { ...positive, version }, loadSet(folder, positive, set), merges);
    }
  } catch (error) {
    tally.faults.push(`${positive.id}: ${textOf(error)}`);
    for (const form of forms) tally.forms[form].failed += 1;
  } finally {
    await client.deleteModel(model).catch((error: unknown) => {
      tally.faults.push(`${positive.id}: could not be deleted: ${textOf(error)}`);
    });
  }
}

async function replaySet(
  context: ReplayContext,
  positive: Registered,
  set: LoadedSet,
  merges: boolean,
): Promise<void> {
  const { tally } = context;
  tally.sets += 1;
  const variants = merges ? rowVariants(set, context.copies) : undefined;
  const flight =
    variants === undefined
      ? copiesOf(set, context.copies)
      : await answeredAlone(context, positive, set, variants);
  if (variants !== undefined) tally.variedSets += 1;
  for (const form of forms) {
    // Sets without a JSON body have values that JSON cannot carry, or are long; the binary form carries all.
    if (form === 'json' && set.jsonRequest === undefined) continue;
    const faults = await replayForm(context, positive, set, form, flight);
    if (faults.length === 0) tally.forms[form].passed += 1;
    else tally.forms[form].failed += 1;
    for (const fault of faults.slice(0, 3))
      tally.faults.push(`${positive.id} ${set.name} by ${form}: ${fault}`);
  }
}

function copiesOf(set: LoadedSet, count: number): Variant[] {
  return Array.from({ length: count }, () => ({ inputs: set.inputs, expected: set.expected }));
}

/** Variants whose outputs only the model knows, with what it answers to each alone; without those it refuses. */
async function answeredAlone(
  { doors, tally }: ReplayContext,
  { model_name: model, version }: Registered,
  set: LoadedSet,
  variants: readonly Variant[],
): Promise<Variant[]> {
  const answered: Variant[] = [];
  for (const variant of variants) {
    if (variant.expected !== undefined) {
      answered.push(variant);
      continue;
    }
    try {
      tally.requests += 1;
      answered.push({
        inputs: variant.inputs,
        expected: await doors.ask('sdk', model, variant.inputs, { version }),
      });
    } catch {
      // Not every model takes its elements in another order; the set as it is takes the place.
      answered.push({ inputs: set.inputs, expected: set.expected });
    }
  }
  return answered;
}

async function replayForm(
  { doors, tally }: ReplayContext,
  positive: Registered,
  set: LoadedSet,
  form: Form,
  flight: readonly Variant[],
): Promise<string[]> {
  const model = positive.model_name;
  const given = givenBody(set, form);
  const ask = async (
    inputs: readonly Tensor[],
    expected: readonly Tensor[],
    tolerance: LoadedSet['tolerance'],
  ): Promise<string | undefined> => {
    tally.requests += 1;
    try {
      const outputs = await doors.ask(form, model, inputs, {
        given: inputs === set.inputs ? given : undefined,
        version: positive.version,
      });
      return findFault(
        outputs,
        expected,
        tolerance,
        positive.outputs.map(({ name }) => name),
      );
    } catch (error) {
      return textOf(error);
    }
  };
  const faults: string[] = [];
  const alone = await ask(set.inputs, set.expected, set.tolerance);
  if (alone !== undefined) faults.push(`one at a time: ${alone}`);
  const together = await Promise.all(
    flight.map(({ inputs, expected }) =>
      ask(inputs, expected ?? [], wider(set.tolerance, inputs !== set.inputs)),
    ),
  );
  together.forEach((fault, index) => {
    if (fault !== undefined) faults.push(`${flight.length} in flight, number ${index}: ${fault}`);
  });
  return faults;
}

/** A variant that the model itself answered alone differs from the batch by rounding, not by what the set allows. */
function wider(tolerance: LoadedSet['tolerance'], varied: boolean): LoadedSet['tolerance'] {
  if (!varied || tolerance === 'exact') return tolerance;
  return {
    absolute: Math.max(tolerance.absolute, batchTolerance.absolute),
    relative: Math.max(tolerance.relative, batchTolerance.relative),
  };
}

function givenBody({ jsonRequest, binaryRequest }: LoadedSet, form: Form): GivenBody | undefined {
  if (form === 'json') return jsonRequest === undefined ? undefined : { payload: jsonRequest };
  return form === 'binary' ? binaryRequest : undefined;
}

export function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'reason' in error ? `${String(error.reason)}: ${error.message}` : error.message;
}
