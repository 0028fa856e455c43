/** The door for plain NATS clients, as a client sees it that speaks nothing but the text protocol. */
import type { TroupeClient } from '@troupe/client';
import { expect } from 'chai';
import type { BareNatsClient } from '../harness/bare-nats-client.js';
import { startCluster, type TestCluster } from '../harness/cluster.js';
import { registerIris } from '../harness/iris-model.js';
import { waitUntil } from '../harness/wait-until.js';

const setosa = [5.1, 3.5, 1.4, 0.2];
const question = JSON.stringify({
  id: 'my-id',
  inputs: [{ name: 'input', shape: [1, 4], datatype: 'FP32', data: setosa }],
});

interface OipAnswer {
  readonly model_name: string;
  readonly model_version: string;
  readonly id?: string;
  readonly outputs: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly datatype: string;
    readonly data?: readonly number[];
    readonly parameters?: { readonly binary_data_size?: number };
  }[];
}

describe('a plain NATS client', function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  let client: TroupeClient;
  let bare: BareNatsClient;

  before(async () => {
    cluster = await startCluster({ hosts: 1, devices: 'cpu:0' });
    client = await cluster.connect();
    await registerIris(client, 1);
    bare = await cluster.connectBare();
    // The door has a routing table of its own, which may hear of the model later than the client's.
    await waitUntil('the door knows the model', async () => {
      const { headers } = await bare.request('troupe.infer.iris', question);
      return headers['Nats-Service-Error-Code'] === undefined;
    });
  });

  after(() => cluster?.stop());

  for (const subject of ['troupe.infer.iris', 'troupe.infer.iris.1', 'troupe.infer.iris.stable']) {
    it(`gets JSON for JSON from ${subject}, with its id and the version that answered`, async () => {
      const { payload, headers } = await bare.request(subject, question);
      expect(headers).to.deep.equal({});
      const answer = JSON.parse(payload.toString()) as OipAnswer;
      expect(answer).to.include({ model_name: 'iris', model_version: '1', id: 'my-id' });
      const [probabilities] = answer.outputs;
      expect(probabilities).to.include({ name: 'probabilities', datatype: 'FP32' });
      expect(probabilities?.shape).to.deep.equal([1, 3]);
      expect(probabilities?.data?.[0]).to.be.greaterThan(0.9);
    });
  }

  it('gets raw tensors behind the JSON where it asks for binary outputs', async () => {
    const body = JSON.stringify({ ...JSON.parse(question), parameters: { binary_data_output: true } });
    const { payload, headers } = await bare.request('troupe.infer.iris', body);
    const jsonLength = Number(headers['Inference-Header-Content-Length']);
    const answer = JSON.parse(payload.subarray(0, jsonLength).toString()) as OipAnswer;
    expect(answer.outputs[0]?.parameters?.binary_data_size).to.equal(12);
    expect(payload.length).to.equal(jsonLength + 12);
    expect(payload.readFloatLE(jsonLength)).to.be.greaterThan(0.9);
  });

  it('may send one raw tensor and nothing else (header value 0)', async () => {
    const raw = Buffer.from(Float32Array.from(setosa).buffer);
    const options = { headers: { 'Inference-Header-Content-Length': '0' } };
    const { payload, headers } = await bare.request('troupe.infer.iris', raw, options);
    const jsonLength = Number(headers['Inference-Header-Content-Length']);
    expect(payload.length).to.equal(jsonLength + 12);
    expect(payload.readFloatLE(jsonLength)).to.be.greaterThan(0.9);
  });

  it('gets an error with class, reason and code, naming what is near', async () => {
    const { payload, headers } = await bare.request('troupe.infer.irsi', question);
    expect(headers['Nats-Service-Error-Code']).to.equal('404');
    const error = JSON.parse(payload.toString()) as Record<string, string>;
    expect(error).to.include({ class: 'not_found', reason: 'model.unknown' });
    expect(error.error).to.contain('iris');
  });

  it('asks the admin API with an empty payload, and for metrics', async () => {
    const { payload } = await bare.request('troupe.admin.models.list', '');
    const { models } = JSON.parse(payload.toString()) as { models: { name: string }[] };
    expect(models.map(({ name }) => name)).to.deep.equal(['iris']);
    const metrics = await bare.request('troupe.admin.metrics.show', '');
    expect((JSON.parse(metrics.payload.toString()) as { text: string }).text).to.contain(
      'troupe_worker_rows_total{',
    );
  });

  it('finds the admin API as a NATS micro service', async () => {
    const { payload } = await bare.request('$SRV.INFO.troupe-admin', '');
    const info = JSON.parse(payload.toString()) as { endpoints: { subject: string }[] };
    expect(info.endpoints.map(({ subject }) => subject)).to.include.members([
      'troupe.admin.models.list',
      'troupe.admin.hosts.scale',
    ]);
  });

  it('gets no answer at an inbox that is not its own business, and the cluster goes on', async () => {
    bare.publish('troupe.infer.iris', question, { reply: '$JS.API.STREAM.DELETE.TROUPE_WORK_iris' });
    bare.publish('troupe.infer.iris', question, { reply: 'troupe.infer.iris' });
    const { payload } = await bare.request('troupe.infer.iris', question);
    expect((JSON.parse(payload.toString()) as OipAnswer).model_version).to.equal('1');
  });
});
