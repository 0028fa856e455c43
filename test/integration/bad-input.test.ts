/**
 * Bad input on a live cluster: each bad request gets a typed error that names the field; the runner lives, and good
 * requests that were in flight at the same time, in the same would-be batch, get their right answers.
 */
import type { TroupeClient } from '@troupe/client';
import { type ErrorReason, TroupeError } from '@troupe/shared';
import { identityModel } from '@troupe/shared/onnx';
import { expect } from 'chai';
import type { BareMessage, BareNatsClient } from '../harness/bare-nats-client.js';
import { connectBare } from '../harness/bare-nats-client.js';
import { printLogsOnFailure, startCluster, type TestCluster } from '../harness/cluster.js';
import { waitUntil } from '../harness/wait-until.js';
import { hugeOutput, nanOn } from '../models/misbehaving-models.js';
import { asInputs, badRequests, type PlainBad } from './bad-requests.js';

const deadlineMs = 5_000;
const maxPayload = 1024 * 1024;

describe('bad input', function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  let client: TroupeClient;
  let bare: BareNatsClient;
  let runnersBefore: string;

  before(async () => {
    cluster = await startCluster({ devices: 'cpu:0', nats: { maxPayload } });
    client = await cluster.connect();
    bare = await cluster.connectBare();
    const register = (name: string, bytes: Uint8Array, maxDelayMs = 0) =>
      client.registerModel({ name, bytes, replicas: 1, maxDelayMs });
    // The delay lets the good requests and the bad one meet before a batch is closed.
    await register('rows', identityModel(), 15);
    await register('small', identityModel({ elementType: 'INT8' }));
    await register('huge', hugeOutput());
    await register('logarithm', nanOn());
    await waitUntil('all serve', async () => (await serving()).length === 4);
    runnersBefore = runners();
  });
  after(() => cluster?.stop());
  afterEach(printLogsOnFailure(() => cluster));

  const serving = async () => (await client.workers()).filter(({ state }) => state === 'serving');
  const runners = () => String(cluster.hosts[0]?.runnerPids());

  let goodCount = 0;
  /** A good request to the model that is being misused; rejects where its answer is not its own rows. */
  async function askWell(): Promise<void> {
    goodCount += 1;
    const rows = Float32Array.from(
      { length: 4 * (1 + (goodCount % 3)) },
      (_, index) => goodCount + index / 16,
    );
    const { outputs } = await client.infer('rows', rows, { deadlineMs: 10_000 });
    expect([...(outputs.output?.data ?? [])]).to.deep.equal([...rows]);
  }

  /** Has good requests before, beside and behind a bad one. */
  async function amongGood<T>(bad: () => Promise<T>): Promise<T> {
    const before = Array.from({ length: 6 }, askWell);
    const outcome = bad();
    const behind = Array.from({ length: 6 }, askWell);
    const [result] = await Promise.all([outcome, ...before, ...behind]);
    expect(runners()).to.equal(runnersBefore);
    return result;
  }

  async function askPlainly({ subject = 'rows', payload, length }: PlainBad): Promise<BareMessage> {
    const headers = {
      'Troupe-Budget-Ms': String(deadlineMs),
      ...(length === undefined ? {} : { 'Inference-Header-Content-Length': length }),
    };
    return bare.request(`troupe.infer.${subject}`, payload, { headers, timeoutMs: deadlineMs });
  }

  function expectRefusal(message: BareMessage, reason: ErrorReason, names: RegExp): void {
    const body = JSON.parse(message.payload.toString('utf8')) as Record<string, string>;
    expect(body.reason, body.error).to.equal(reason);
    expect(body.error).to.match(names);
    expect(body.class).to.equal(new TroupeError(reason, '').class);
    expect(message.headers['Nats-Service-Error-Code']).to.equal(String(new TroupeError(reason, '').status));
    expect(message.headers['Nats-Service-Error']).to.be.a('string').and.not.equal('');
  }

  function expectThrown(thrown: unknown, reason: ErrorReason, names: RegExp): void {
    expect(thrown).to.be.instanceOf(TroupeError);
    const error = thrown as TroupeError;
    expect(error.reason, error.message).to.equal(reason);
    expect(error.message).to.match(names);
  }

  for (const { title, reason, names, sdk, json, binary } of badRequests) {
    it(`${title} is refused with ${reason}, and hurts no neighbour`, async () => {
      for (const plain of [json, binary]) {
        if (plain !== undefined) expectRefusal(await amongGood(() => askPlainly(plain)), reason, names);
      }
      if (sdk === undefined) return;
      const thrown = await amongGood(() =>
        client.infer(sdk.model ?? 'rows', asInputs(sdk.inputs), { deadlineMs, ...sdk.options }).then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
      expectThrown(thrown, reason, names);
    });
  }

  it('a payload over the limit is refused by the SDK with both sizes, and by the server to a plain client', async () => {
    const rows = new Float32Array(maxPayload / 4);
    const thrown = await amongGood(() =>
      client.infer('rows', rows, { deadlineMs }).catch((error: unknown) => error),
    );
    expectThrown(thrown, 'request.too_large', new RegExp(`\\d{7}.*${maxPayload}`));
    const other = await connectBare(cluster.natsUrl);
    try {
      // Without the payload: a server that closes while it comes resets the connection, and its word may be lost.
      const refusal = await amongGood(() => other.refusalOf(`PUB troupe.infer.rows ${maxPayload + 1}`));
      expect(refusal).to.match(/Maximum Payload/i);
    } finally {
      other.close();
    }
  });

  it('a plain payload that only just fits is answered, or refused for its size: what we add to it counts', async () => {
    for (const spare of [0, 100, 400, 4_000]) {
      const text = '{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}';
      const payload = text.padEnd(maxPayload - spare - 80, ' ');
      const message = await amongGood(() => askPlainly({ payload }));
      if (message.headers['Nats-Service-Error-Code'] === undefined) {
        expect(JSON.parse(message.payload.toString()).outputs[0].data).to.deep.equal([1, 2, 3, 4]);
      } else expectRefusal(message, 'request.too_large', new RegExp(String(maxPayload)));
    }
  });

  it('an answer over the limit is an error that names both sizes, by every door', async () => {
    const count = 1_000_000;
    const names = new RegExp(`\\d{7}.*${maxPayload}`);
    const thrown = await client
      .infer('huge', BigInt64Array.of(BigInt(count)), { deadlineMs })
      .catch((error: unknown) => error);
    expectThrown(thrown, 'answer.too_large', names);
    const json = `{"inputs":[{"name":"count","shape":[1],"datatype":"INT64","data":[${count}]}]}`;
    expectRefusal(await askPlainly({ subject: 'huge', payload: json }), 'answer.too_large', names);
    const { outputs } = await client.infer('huge', BigInt64Array.of(3n));
    expect([...(outputs.output?.data ?? [])]).to.deep.equal([1, 1, 1]);
  });

  it('NaN and infinities come back in binary form, and are refused in JSON with the way out', async () => {
    const { outputs } = await client.infer('logarithm', Float32Array.of(-1, 0, 1, 1));
    expect([...(outputs.output?.data ?? [])]).to.deep.equal([Number.NaN, Number.NEGATIVE_INFINITY, 0, 0]);
    const json = '{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[-1,0,1,1]}]}';
    expectRefusal(
      await askPlainly({ subject: 'logarithm', payload: json }),
      'answer.not_json',
      /output.*binary/,
    );
  });

  it('bytes that no door has checked do no harm: no runner has died of any of this', async () => {
    for (const payload of ['', '\u0000\u0001', 'null', '{"inputs":', '{"inputs":[{"name":7}]}']) {
      await amongGood(async () => bare.publish('troupe.work.rows.1.1', payload));
      await amongGood(async () =>
        bare.publish('troupe.work.rows.1.1', payload, {
          reply: '_INBOX.none',
          headers: {
            'Troupe-Reply': 'not a > subject *',
            'Troupe-Budget-Ms': '-5',
            'Inference-Header-Content-Length': 'NaN',
          },
        }),
      );
    }
    await waitUntil('nothing is held any more', async () =>
      (await serving()).every(({ inFlight }) => inFlight === 0),
    );
  });
});
