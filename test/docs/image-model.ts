/** A model with the input of a picture classifier, whose scores are the highest value of each channel. */
import { encodeModel, tensorValue } from '@troupe/shared/onnx';

/** `input` [N, 3, 224, 224] to `output` [N, 3], both float32. */
export function imageModel(): Uint8Array<ArrayBuffer> {
  return encodeModel({
    graph: {
      name: 'image',
      inputs: [tensorValue('input', 'FLOAT', ['N', 3, 224, 224])],
      outputs: [tensorValue('output', 'FLOAT', ['N', 3])],
      nodes: [
        { opType: 'GlobalMaxPool', inputs: ['input'], outputs: ['pooled'] },
        { opType: 'Flatten', inputs: ['pooled'], outputs: ['output'] },
      ],
    },
  });
}
