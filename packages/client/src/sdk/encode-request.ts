/**
 * The bytes of a request. Those without an id of the caller's differ in their numbers only, so the JSON part of each
 * shape is written once for a signature. Called by `infer-request.ts`.
 */
import {
  encodeInferRequest,
  joinMessage,
  type RequestedOutput,
  reusableHead,
  type Signature,
  type Tensor,
  type WireMessage,
} from '@troupe/shared';

/** Routes are read anew at times, and with them their signatures: what was remembered goes with the old one. */
const headsOfSignature = new WeakMap<Signature, Map<string, Buffer>>();
const maxHeads = 256;

/**
 * Encodes a request with all tensors in binary form, and asks for the same of its outputs. Where its beginning is known,
 * it lies in the memory that `allocate` gives.
 */
export function encodeRequest(
  signature: Signature,
  tensors: readonly Tensor[],
  outputs: readonly RequestedOutput[] | undefined,
  id: string | undefined,
  allocate?: (bytes: number) => Uint8Array,
): WireMessage {
  const encodeNew = () =>
    encodeInferRequest(
      {
        inputs: tensors,
        binaryOutput: true,
        ...(id === undefined ? {} : { id }),
        ...(outputs === undefined ? {} : { outputs }),
      },
      true,
    );
  if (id !== undefined) return encodeNew();
  let heads = headsOfSignature.get(signature);
  if (heads === undefined) {
    heads = new Map();
    headsOfSignature.set(signature, heads);
  }
  let key = '';
  for (const { data, shape } of tensors) {
    if (!(data instanceof Uint8Array)) return encodeNew();
    // Tensors come in the signature's order; bytes that do not fit their shape are found by the long way.
    key += `${shape.join(',')}:${data.byteLength};`;
  }
  if (outputs !== undefined) key += JSON.stringify(outputs);
  const head = heads.get(key);
  if (head !== undefined) return joinMessage(head, tensors, allocate);
  const message = encodeNew();
  const reusable = heads.size < maxHeads ? reusableHead(message, tensors) : undefined;
  if (reusable !== undefined) heads.set(key, reusable);
  return message;
}
