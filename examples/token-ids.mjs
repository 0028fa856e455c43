/**
 * Texts as token ids for a model that wants `input_ids` and `attention_mask`, both [batch, length] INT64. The ids come
 * from the model's own tokenizer; here they are an argument.
 *
 * node examples/token-ids.mjs <model> '[[101,7592,102],[101,2129,2024,2017,102]]'
 */
import { connect, tensor } from '@troupe/client';

const padding = 0n;

/**
 * Lists of different lengths, padded to the longest, with the mask that says what is text.
 * @param {number[][]} texts
 */
function pad(texts) {
  const length = Math.max(...texts.map((ids) => ids.length));
  const ids = new BigInt64Array(texts.length * length).fill(padding);
  const mask = new BigInt64Array(texts.length * length);
  texts.forEach((text, row) => {
    text.forEach((id, column) => {
      ids[row * length + column] = BigInt(id);
      mask[row * length + column] = 1n;
    });
  });
  const shape = [texts.length, length];
  return { input_ids: tensor(ids, shape, 'INT64'), attention_mask: tensor(mask, shape, 'INT64') };
}

const [model = 'text-model', texts = '[[101,7592,102],[101,2129,2024,2017,102]]'] = process.argv.slice(2);
const inputs = pad(JSON.parse(texts));
const troupe = await connect();
try {
  const { outputs, version } = await troupe.infer(model, inputs);
  for (const [name, { data, shape }] of Object.entries(outputs)) {
    console.log(`${model} version ${version}: ${name} [${shape.join(', ')}]`, Array.from(data).slice(0, 8));
  }
} finally {
  await troupe.close();
}
