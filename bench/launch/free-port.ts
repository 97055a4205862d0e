/** Finds a loopback port below the ephemeral ports, so that no outgoing connection takes it. */
import { createServer } from 'node:net';

const LOWEST = 12_000;
const HIGHEST = 31_999;

/** @param offset distance to a second port, which must be free too. */
export async function freePort(offset = 0): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST - offset));
    if ((await isFree(port)) && (offset === 0 || (await isFree(port + offset)))) return port;
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
