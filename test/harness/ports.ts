/** Free TCP ports on the loopback interface. Used by the server harness; never by the product. */
import { createServer } from 'node:net';

/** Ports that this process was given; the kernel may offer a port again before its first taker has bound it. */
const given = new Set<number>();

function askKernel(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === 'object' && address !== null) resolve(address.port);
        else reject(new Error('the kernel gave no port'));
      });
    });
  });
}

/** A port that was free a moment ago and that this process was not given before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = await askKernel();
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
  throw new Error('no free port on 127.0.0.1 after 100 tries');
}
