/** A temporary folder of model files for tests. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeDirectory, temporaryDirectory } from '../../../../test/harness/server-process.js';

export class ModelFolder {
  readonly #path = temporaryDirectory('models');
  #count = 0;

  /** Writes a model file; its path. */
  write(bytes: Uint8Array): string {
    this.#count += 1;
    const path = join(this.#path, `m${this.#count}.onnx`);
    writeFileSync(path, bytes);
    return path;
  }

  remove(): void {
    removeDirectory(this.#path);
  }
}
