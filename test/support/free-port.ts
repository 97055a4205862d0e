/**
 * A loopback port for a program that must be told its port, and that may die and come back to it.
 * Below the range from which systems take ports for outgoing
 * connections: one of those could sit on it meanwhile.
 */
import { createServer } from 'node:net';

const LOWEST = 12_000;
const HIGHEST = 31_999;

/** @param companion this many above it another port must be free, too. */
export async function freePort(companion = 0): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST - companion));
    if ((await isFree(port)) && (companion === 0 || (await isFree(port + companion)))) return port;
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
