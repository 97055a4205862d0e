/**
 * A free loopback port for a program that takes its port from its settings, and that may end and
 * start again on it. Below the range of ephemeral ports, so that no outgoing connection takes it.
 */
import { createServer } from 'node:net';

const LOWEST = 12_000;
const HIGHEST = 31_999;

/** @param companion a second port, so many above the first, that must be free too. */
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
