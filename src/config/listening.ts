import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const RETRY_MS = 100;

/**
 * Binds the port exclusively, releases it and returns its number (the chosen one for port 0). Run
 * it before gateways share a port: with SO_REUSEPORT a second engine would join without an error.
 * Gateways whose supervisor was killed drain first: `patienceMs` is the time for that.
 */
export async function probePort(host: string, port: number, variable: string, patienceMs = 0): Promise<number> {
  for (const until = performance.now() + patienceMs; ; await sleep(RETRY_MS)) {
    try {
      return await probe(host, port);
    } catch (cause) {
      const isUsed = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!isUsed || performance.now() >= until) throw listenError(variable, host, port, cause);
    }
  }
}

function probe(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const free = typeof address === 'object' && address !== null ? address.port : port;
      server.close(() => resolve(free));
    });
  });
}

/** Returns an error that names the variable to change, for the error of a listening socket. */
export function listenError(variable: string, host: string, port: number, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown reason';
  return new Error(explain(variable, host, port, code), { cause });
}

function explain(variable: string, host: string, port: number, code: string): string {
  if (code === 'EADDRINUSE')
    return `port ${port} on ${host} is in use. Stop that program or choose another ${variable} (0 = any free port).`;
  if (code === 'EACCES') return `port ${port} may not be opened by this user. Choose a ${variable} of 1024 or higher.`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `${host} is not an address of this machine. Choose another HOST.`;
  return `cannot listen on ${host}:${port} (${code}). Choose another HOST or ${variable}.`;
}
