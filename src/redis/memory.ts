/** How much memory Redis uses: read rarely, and only while a scraper asks for it. */
import { Cluster, type Redis } from 'ioredis';
import type { RedisMemory } from '../domain/health.ts';
import { parseInfo } from './facts.ts';
import type { ScriptRunner } from './script-runner.ts';

const EVERY_MS = 15_000;

async function memoryOf(server: Redis): Promise<RedisMemory> {
  const { used_memory = '', maxmemory = '0' } = parseInfo(await server.info('memory'));
  if (used_memory === '') throw new Error('INFO has no used_memory');
  return { usedBytes: Number(used_memory), maxBytes: Number(maxmemory) };
}

/** Without a limit nothing is filled: such a server is the last one. */
const fillOf = ({ usedBytes, maxBytes }: RedisMemory): number => (maxBytes === 0 ? 0 : usedBytes / maxBytes);

/**
 * Returns a function that returns the newest numbers, and reads them again if they are old. In a
 * cluster they are those of the fullest master.
 */
export function createMemoryReader(runner: ScriptRunner): () => RedisMemory | null {
  let newest: RedisMemory | null = null;
  let nextMs = 0;

  /** Errors are left to other commands: no metric may make Redis look unavailable. */
  async function read(): Promise<void> {
    nextMs = Number.POSITIVE_INFINITY;
    const { client } = runner;
    const masters = client instanceof Cluster ? client.nodes('master') : [client];
    const all = await Promise.all(masters.map(memoryOf)).catch(() => []);
    newest = all.sort((a, b) => fillOf(b) - fillOf(a))[0] ?? null;
    nextMs = performance.now() + EVERY_MS;
  }

  return () => {
    const { capabilities, status } = runner.connection;
    const mayRead = status.trouble === null && capabilities?.identity === 'info';
    if (mayRead && performance.now() >= nextMs) void read();
    return newest;
  };
}
