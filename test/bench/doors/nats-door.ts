/**
 * Asks Troupe as any program does that speaks NATS: Open Inference Protocol messages to `<ns>.infer.<model>`, binary or
 * JSON, the answers on one subscription. Messages are made once, since a program of another language would not use our
 * encoder; answers are read each time.
 */
import { createSubjects, encodeInferRequest, Header } from '@troupe/shared';
import { connect, headers, type Msg } from 'nats';
import type { Address, OpenDoor } from '../load-generator.js';

export const openNatsDoor: OpenDoor<Extract<Address, { namespace: string }>> = async (
  { kind, natsUrl, namespace },
  model,
  servedAs,
  inputs,
) => {
  const connection = await connect({ servers: natsUrl, maxReconnectAttempts: 0 });
  const inbox = `_INBOX.bench.${process.pid}.${servedAs}`;
  const waiting = new Map<string, { resolve(values: ArrayLike<number>): void; reject(error: Error): void }>();
  const binary = kind === 'nats';
  const read = (message: Msg) => {
    const id = message.subject.slice(inbox.length + 1);
    const caller = waiting.get(id);
    waiting.delete(id);
    try {
      caller?.resolve(binary ? readBinary(message) : readJson(message));
    } catch (error) {
      caller?.reject(error as Error);
    }
  };
  connection.subscribe(`${inbox}.*`, {
    callback: (error, message) => {
      if (error === null) read(message);
    },
  });
  await connection.flush();
  void connection.closed().then((error) => {
    for (const { reject } of waiting.values())
      reject(error instanceof Error ? error : new Error('connection closed'));
  });
  const subject = createSubjects(namespace).infer(servedAs);
  const messages = inputs.map((data) => {
    const { payload, jsonLength } = encodeInferRequest(
      {
        inputs: [
          {
            name: 'input',
            datatype: 'FP32',
            shape: [1, ...model.rowShape],
            data: new Uint8Array(data.buffer),
          },
        ],
        binaryOutput: binary,
      },
      binary,
    );
    const head = headers();
    if (jsonLength !== undefined) head.set(Header.InferenceLength, String(jsonLength));
    return { payload, head };
  });
  let nextId = 0;
  return {
    ask(row) {
      const id = String(nextId);
      nextId += 1;
      const { payload, head } = messages[row] as (typeof messages)[number];
      return new Promise<ArrayLike<number>>((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        connection.publish(subject, payload, { reply: `${inbox}.${id}`, headers: head });
      });
    },
    valuesOf: (values: ArrayLike<number>) => values,
  };
};

/** The values of the one output that follows the JSON part. */
function readBinary(message: Msg): Float32Array {
  const jsonLength = Number(message.headers?.get(Header.InferenceLength) || Number.NaN);
  if (Number.isNaN(jsonLength)) throw notAnswer(message);
  // A copy: at the start of memory of its own, as Float32Array wants. (Not slice(): the library's data is a Buffer.)
  const bytes = new Uint8Array(message.data.subarray(jsonLength));
  return new Float32Array(bytes.buffer);
}

function readJson(message: Msg): readonly number[] {
  const { outputs } = JSON.parse(Buffer.from(message.data).toString()) as {
    outputs?: { data: number[] }[];
  };
  if (outputs?.[0] === undefined) throw notAnswer(message);
  return outputs[0].data;
}

function notAnswer(message: Msg): Error {
  return new Error(`the answer has no tensors: ${Buffer.from(message.data).toString('utf8', 0, 500)}`);
}
