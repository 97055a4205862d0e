/** Whether the address of the configuration can be listened on, and what to say when not. */
import { createServer } from 'node:net';

/**
 * Binds the port alone for a moment and answers with its number (the chosen one where `port` is 0);
 * rejects with what to do when that fails. Asked before gateways share a port: with SO_REUSEPORT a
 * second engine would join silently instead of failing.
 */
export function probePort(host: string, port: number, variable: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (cause) => reject(portTrouble(variable, host, port, cause)));
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const free = typeof address === 'object' && address !== null ? address.port : port;
      server.close(() => resolve(free));
    });
  });
}

/** An error that says which variable to change, from one that a listening socket gave. */
export function portTrouble(variable: string, host: string, port: number, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown reason';
  return new Error(explained(variable, host, port, code), { cause });
}

function explained(variable: string, host: string, port: number, code: string): string {
  if (code === 'EADDRINUSE')
    return `port ${port} on ${host} is taken: stop what listens there, or choose another ${variable} (0 = any free port)`;
  if (code === 'EACCES') return `port ${port} may not be opened by this user: choose a ${variable} of 1024 or higher`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `${host} is not an address of this machine: choose another HOST`;
  return `cannot listen on ${host}:${port} (${code}): choose another HOST or ${variable}`;
}
