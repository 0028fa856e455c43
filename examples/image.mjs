/**
 * A picture for a model that wants [1, 3, 224, 224] float32: raw RGB bytes, three for each pixel, row by row, as
 * `sharp(…).resize(224, 224).removeAlpha().raw()` gives them.
 *
 * node examples/image.mjs <model> <file of 224 x 224 x 3 bytes>
 */
import { readFile } from 'node:fs/promises';
import { connect, tensor } from '@troupe/client';

const side = 224;
/** Of ImageNet, which most published models were trained with; look up yours. */
const mean = [0.485, 0.456, 0.406];
const deviation = [0.229, 0.224, 0.225];

/**
 * Pixels side by side (RGBRGB…) to planes (RR…GG…BB…), scaled to 0..1 and normalised.
 * @param {Uint8Array} rgb
 */
function toPlanes(rgb) {
  const pixels = side * side;
  if (rgb.length !== 3 * pixels) {
    throw new Error(`${rgb.length} bytes: ${3 * pixels} are wanted (${side} x ${side} pixels, RGB)`);
  }
  const planes = new Float32Array(3 * pixels);
  for (let channel = 0; channel < 3; channel += 1) {
    for (let pixel = 0; pixel < pixels; pixel += 1) {
      const value = rgb[3 * pixel + channel] / 255;
      planes[channel * pixels + pixel] = (value - mean[channel]) / deviation[channel];
    }
  }
  return tensor(planes, [1, 3, side, side], 'FP32');
}

const [model = 'image-model', file = 'picture.rgb'] = process.argv.slice(2);
const picture = toPlanes(await readFile(file));
const troupe = await connect();
try {
  const { outputs, version } = await troupe.infer(model, picture);
  for (const [name, { data, shape }] of Object.entries(outputs)) {
    const scores = Array.from(data, Number);
    const best = scores.indexOf(Math.max(...scores));
    console.log(`${model} version ${version}: ${name} [${shape.join(', ')}], highest at ${best}`);
  }
} finally {
  await troupe.close();
}
