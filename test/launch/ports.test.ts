import { createServer, type Server } from 'node:net';
import { expect } from 'chai';
import { localHostName } from '../../deploy/local/cluster.mjs';
import { pickPort } from '../../deploy/local/ports.mjs';

describe('choosing a port', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });
  const occupy = (host: string, port = 0) =>
    new Promise<number>((resolve, reject) => {
      const server = createServer();
      servers.push(server);
      server.once('error', reject);
      server.listen({ host, port }, () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  const wish = { name: 'NATS', flag: '--nats-port', fixed: undefined };

  it('takes the usual one where it is free', async () => {
    const usual = await occupy('127.0.0.1');
    for (const server of servers.splice(0)) server.close();
    expect(await pickPort({ ...wish, usual })).to.equal(usual);
  });

  it('takes the next free one where the usual is taken, on loopback or on all addresses, or to be avoided', async () => {
    for (const host of ['127.0.0.1', '0.0.0.0']) {
      const usual = await occupy(host);
      expect(await pickPort({ ...wish, usual })).to.be.greaterThan(usual);
      expect(await pickPort({ ...wish, usual, avoid: [usual + 1] })).to.be.greaterThan(usual + 1);
    }
  });

  it('says in one line that a fixed one is taken', async () => {
    const fixed = await occupy('127.0.0.1');
    await pickPort({ ...wish, usual: 4222, fixed }).then(
      () => expect.fail('took a taken port'),
      (error: Error) => expect(error.message).to.match(/^port \d+ for NATS is taken: .*--nats-port/),
    );
  });

  it('names the local host by one token of a subject', () => {
    expect(localHostName('box.example.org')).to.equal('box-example-org-1');
    expect(localHostName('-')).to.equal('local-1');
    expect(localHostName('x'.repeat(200))).to.match(/^x{60}-1$/);
  });
});
