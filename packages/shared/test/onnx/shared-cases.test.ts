import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ScannedModel } from '@troupe/shared/onnx';
import {
  datatypeOfElementType,
  findModelFaults,
  isServableElementType,
  scanModel,
} from '@troupe/shared/onnx';
import { expect } from 'chai';

/** The models of the shared case collection, which lies beside the repository and is not part of it. */
const repoRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../..');
const casesRoot = path.resolve(repoRoot, '../shared/cases');

interface ManifestValue {
  readonly name: string;
  readonly datatype: string;
  readonly dims: readonly (number | string)[] | null;
}

interface ManifestCase {
  readonly id: string;
  readonly path: string;
  readonly model: string;
  readonly ir_version: number;
  readonly inputs: readonly ManifestValue[];
  readonly outputs: readonly ManifestValue[];
}

interface NegativeCase {
  readonly id: string;
  readonly path: string;
  readonly class: string;
}

describe('scan of the shared model collection', () => {
  let manifest: { cases: readonly ManifestCase[]; negative: readonly NegativeCase[] };

  before(function () {
    const file = path.join(casesRoot, 'manifest.json');
    if (!existsSync(file)) {
      console.warn(`      SKIPPED: no shared model collection at ${casesRoot}; real models were not scanned`);
      this.skip();
    }
    manifest = JSON.parse(readFileSync(file, 'utf8')) as typeof manifest;
  });

  it('finds no fault in a model that runs, and its inputs and outputs as the runtime sees them', () => {
    expect(manifest.cases).to.have.lengthOf.at.least(183);
    for (const entry of manifest.cases) {
      const scan = scanModel(readFileSync(path.join(casesRoot, entry.path, entry.model)));
      expect(findModelFaults(scan, new Map()), entry.id).to.deep.equal([]);
      const model = scan as ScannedModel;
      expect(model.irVersion, entry.id).to.equal(entry.ir_version);
      expectValues(entry.id, model.inputs, entry.inputs);
      expectValues(entry.id, model.outputs, entry.outputs);
    }
  });

  const reasonsByClass: Readonly<Record<string, readonly string[]>> = {
    'process-abort': ['model.datatype_unsupported'],
    'int4-tensor-unsupported': ['model.datatype_unsupported'],
    'load-io-dtype-unsupported': ['model.datatype_unsupported'],
    'load-opset-too-new': ['model.runtime_unsupported'],
    'non-tensor-io': ['model.input_unsupported', 'model.no_tensor_output'],
    'load-external-data-missing': ['model.external_data'],
  };
  for (const [kind, reasons] of Object.entries(reasonsByClass)) {
    it(`refuses every model of class ${kind} before a run, with ${reasons.join(' or ')}`, () => {
      const entries = manifest.negative.filter((entry) => entry.class === kind);
      expect(entries).to.have.lengthOf.at.least(1);
      for (const entry of entries) {
        const scan = scanModel(readFileSync(path.join(casesRoot, entry.path, 'model.onnx')));
        const found = findModelFaults(scan, new Map()).map(({ reason }) => reason);
        expect(found, entry.id).to.have.lengthOf.at.least(1);
        expect(reasons, entry.id).to.include.members(found);
      }
    });
  }

  it('says of each corrupt file what is wrong with it', () => {
    const kindOf = (id: string) =>
      scanModel(readFileSync(path.join(casesRoot, 'negative', id, 'model.onnx'))).kind;
    expect(kindOf('corrupt-empty-file')).to.equal('empty');
    expect(kindOf('corrupt-git-lfs-pointer')).to.equal('git_lfs_pointer');
    expect(kindOf('corrupt-truncated-half')).to.equal('damaged');
  });
});

function expectValues(id: string, scanned: ScannedModel['inputs'], expected: readonly ManifestValue[]): void {
  expect(
    scanned.map(({ name }) => name),
    id,
  ).to.deep.equal(expected.map(({ name }) => name));
  scanned.forEach((value, index) => {
    const entry = expected[index];
    if (value.elementType !== undefined && isServableElementType(value.elementType)) {
      expect(datatypeOfElementType[value.elementType], `${id} ${value.name}`).to.equal(entry?.datatype);
    }
    // Variable sizes may be resolved by the runtime's shape inference; fixed ones must agree.
    value.dims?.forEach((dim, axis) => {
      if (typeof dim === 'number') {
        expect(dim, `${id} ${value.name}`).to.equal(entry?.dims?.[axis]);
      }
    });
  });
}
