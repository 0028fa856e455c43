/**
 * The conformance run on a few cases of the shared set, so that the suite notices when the command breaks; and on cases
 * with a lie in them, so that it is known to notice. The whole set: `npm run conformance -- <folder>`.
 */
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { repositoryRoot } from '../../deploy/local/root.mjs';
import { type CaseFolder, readCaseFolder, selectCases } from '../conformance/case-folder.js';
import { conformanceEnvironment, runConformance, slotsFor } from '../conformance/run-conformance.js';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { removeDirectory, temporaryDirectory } from '../harness/server-process.js';

const folderPath = join(repositoryRoot, '../shared/cases');
/** Of sixteen copies in flight at once, four are enough to notice when the command breaks. */
const plan = { wave: 8, copies: 4 };

/** One for each family of datatypes, and what is special: several rows, an answer of 1.8 MB, no inputs, NaN. */
const smokeCases = [
  'node/test_isinf_float16',
  'node/test_greater_uint8',
  'node/test_bitwise_xor_i32_2d',
  'real/mnist-8',
  'real/ort-types-bool',
  'real/ort-types-double',
  'real/ort-types-int64',
  'real/ort-types-uint16',
  'real/super-resolution-10',
  'real/triton-simple',
  'real/triton-simple-string',
];
const smokeNegatives = [
  'test_cast_FLOAT_to_INT4',
  'test_convinteger_with_padding',
  'test_sequence_map_extract_shapes',
  'corrupt-truncated-half',
];

describe('the conformance run', function () {
  this.timeout(120_000);
  let cluster: TestCluster;

  before(async function () {
    if (!existsSync(join(folderPath, 'manifest.json'))) {
      console.warn(`SKIPPED: there are no cases at ${folderPath}, so conformance is not tested`);
      this.skip();
    }
    cluster = await startCluster({ slots: slotsFor(plan.wave), env: conformanceEnvironment });
  });
  after(() => cluster?.stop());
  afterEach(printLogsOnFailure(() => cluster));

  it('passes a few cases of each kind, in every form that they have', async () => {
    const all = readCaseFolder(folderPath);
    const folder: CaseFolder = {
      ...selectCases(all, /^$/),
      cases: all.cases.filter(({ id }) => smokeCases.includes(id)),
      negative: all.negative.filter(({ id }) => smokeNegatives.includes(id)),
    };
    const tally = await runConformance(cluster, folder, plan);
    expect(tally.faults).to.deep.equal([]);
    expect(tally.models).to.equal(smokeCases.length);
    const sets = folder.cases.reduce((sum, { sets: { length } }) => sum + length, 0);
    expect(tally.forms.sdk).to.deep.equal({ passed: sets, failed: 0 });
    expect(tally.forms.binary).to.deep.equal({ passed: sets, failed: 0 });
    expect(tally.forms.json.passed).to.be.within(sets - 3, sets);
    expect(tally.variedSets).to.be.greaterThan(2);
    expect(tally.negatives).to.deep.equal({ passed: smokeNegatives.length, failed: 0 });
  });

  it('tells of a wrong output, and of a model that serves though it must not', async () => {
    const copy = temporaryDirectory('cases');
    try {
      const all = readCaseFolder(folderPath);
      const [mnist] = selectCases(all, /^real\/mnist-8$/).cases;
      const [types] = selectCases(all, /^real\/ort-types-int16$/).cases;
      if (mnist === undefined || types === undefined) throw new Error('the shared set has changed');
      for (const { path } of [mnist, types]) {
        mkdirSync(join(copy, path), { recursive: true });
        cpSync(join(folderPath, path), join(copy, path), { recursive: true });
      }
      // The first set now expects what the second one gives.
      const set = (index: number) => join(copy, mnist.path, `test_data_set_${index}`);
      cpSync(join(set(1), 'output_0.pb'), join(set(0), 'output_0.pb'));
      const manifest = {
        cases: [mnist],
        negative: [{ id: 'serves', path: types.path, class: 'a lie', expect: 'it must not load' }],
      };
      writeFileSync(join(copy, 'manifest.json'), JSON.stringify(manifest));
      const tally = await runConformance(cluster, readCaseFolder(copy), plan);
      for (const form of ['sdk', 'json', 'binary'] as const) {
        expect(tally.forms[form], form).to.deep.equal({ passed: 2, failed: 1 });
        expect(tally.faults.join('\n')).to.match(
          new RegExp(`mnist-8 test_data_set_0 by ${form}: one at a time: .*differs`),
        );
      }
      expect(tally.negatives).to.deep.equal({ passed: 0, failed: 1 });
      expect(tally.faults.join('\n')).to.match(/serves \(a lie\): it was registered, though it cannot serve/);
    } finally {
      removeDirectory(copy);
    }
  });
});
