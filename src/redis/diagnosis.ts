/**
 * Finds out why a server that accepts connections does not serve them, when the driver saw only
 * that the connection was closed or silent: the words of the server were lost, or one side expects
 * TLS.
 */
import { type Socket, connect as tcpConnect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import type { RedisTrouble } from '../domain/health.ts';
import type { RedisTarget } from '../domain/redis-target.ts';
import { TLS_NEEDED, TLS_NOT_SPOKEN, troubleOf } from './states.ts';

const GREETING_MS = 300;
const HANDSHAKE_MS = 2_000;

/** Resolves with the first bytes; '' if there are none, null without a connection. */
function firstWords(socket: Socket, timeoutMs: number, request?: string): Promise<string | null> {
  return new Promise((resolve) => {
    let hasConnected = false;
    const end = (words: string | null): void => {
      socket.destroy();
      resolve(words);
    };
    socket.setTimeout(timeoutMs, () => end(hasConnected ? '' : null));
    socket.once('connect', () => {
      hasConnected = true;
      if (request !== undefined) socket.write(request);
    });
    socket.once('data', (bytes) => end(bytes.toString()));
    socket.once('error', () => end(hasConnected ? '' : null));
    socket.once('close', () => end(hasConnected ? '' : null));
  });
}

/** Resolves with whether a TLS handshake succeeds, or is refused as such. Sends nothing in it. */
function speaksTls(server: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tlsConnect({ ...server, rejectUnauthorized: false });
    const end = (isTls: boolean): void => {
      socket.destroy();
      resolve(isTls);
    };
    socket.setTimeout(HANDSHAKE_MS, () => end(false));
    socket.once('secureConnect', () => end(true));
    socket.once('error', (error) => end(/alert|certificate required/i.test(error.message)));
    socket.once('close', () => end(false));
  });
}

/** Returns the cause, or null if it is not known. */
export async function diagnose({ servers, socketPath, tls }: RedisTarget): Promise<RedisTrouble | null> {
  const [server] = servers;
  const open = (): Socket =>
    tcpConnect(socketPath !== null ? { path: socketPath } : { ...server, port: server?.port ?? 0 });
  if (tls !== null) {
    const reply = await firstWords(open(), HANDSHAKE_MS, 'PING\r\n');
    return reply !== null && /^[+-][A-Z]/.test(reply) ? TLS_NOT_SPOKEN : null;
  }
  // Redis refuses some clients without a request, and a request would make them miss its words.
  const greeting = await firstWords(open(), GREETING_MS);
  if (greeting === null) return null;
  if (greeting.startsWith('-')) return troubleOf(new Error(greeting.slice(1).trim()));
  return server !== undefined && (await speaksTls(server)) ? TLS_NEEDED : null;
}
