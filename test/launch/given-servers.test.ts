import { createServer } from 'node:net';
import { expect } from 'chai';
import { expectGivenServer } from '../../deploy/local/given-servers.mjs';
import { freePort } from '../harness/ports.js';

describe('servers that the user gives', () => {
  it('are taken where one of the list answers', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await expectGivenServer('NATS_URL', `nats://127.0.0.1:${await freePort()}, nats://127.0.0.1:${port}`);
    await expectGivenServer('REDIS_URL', `redis://ann:secret@127.0.0.1:${port}/3`);
    await new Promise((resolve) => server.close(resolve));
  });

  it('that do not answer get one line with the address, where it came from and what to do, without the password', async () => {
    const port = await freePort();
    const message = await expectGivenServer('NATS_URL', `nats://ann:secret@127.0.0.1:${port}`).then(
      () => 'taken',
      (error: Error) => error.message,
    );
    expect(message).to.match(
      new RegExp(`^nothing answers at nats://127.0.0.1:${port}, where NATS_URL points`),
    );
    expect(message).to.contain('ECONNREFUSED').and.contain('unset it').and.not.contain('secret');
    expect(message).to.not.contain('\n');
  });
});
