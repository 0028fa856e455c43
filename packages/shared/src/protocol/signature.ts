/** The tensor signature of a model version: what goes in and what comes out. Stored and sent (wire format). */
import type { Datatype } from './datatype.js';

/** One named tensor of a model. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  /** Dimensions, -1 where variable, as in the OIP's metadata; `undefined` where the rank itself is unknown. */
  readonly shape: readonly number[] | undefined;
}

/** Inputs and tensor outputs of a model version, in graph order. */
export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}
