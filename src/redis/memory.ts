/** How much memory Redis uses, and when it is full: read rarely, and only while it is asked. */
import { Cluster, type Redis } from 'ioredis';
import type { Health, RedisMemory } from '../domain/health.ts';
import type { RedisClient } from './client.ts';
import { parseInfo } from './facts.ts';
import type { ScriptRunner } from './script-runner.ts';

const EVERY_MS = 5_000;
const EVERY_MS_WHILE_FULL = 1_000;
const HOUR_MS = 3_600_000;
/** One week. */
const SAMPLES_MAX = 168;
const KEPT_MS = (SAMPLES_MAX + 24) * HOUR_MS;

type Usage = Pick<RedisMemory, 'usedBytes' | 'maxBytes'>;
type Forecast = Pick<RedisMemory, 'fullInMs' | 'isMeasured'>;

export interface Sample {
  readonly atMs: number;
  readonly usedBytes: number;
}

async function usageOf(server: Redis): Promise<Usage> {
  const { used_memory = '', maxmemory = '0' } = parseInfo(await server.info('memory'));
  if (used_memory === '') throw new Error('INFO has no used_memory');
  return { usedBytes: Number(used_memory), maxBytes: Number(maxmemory) };
}

/** Without a limit nothing is filled: such a server is the last one. */
const fillOf = ({ usedBytes, maxBytes }: Usage): number => (maxBytes === 0 ? 0 : usedBytes / maxBytes);

/** Returns when Redis is full at the growth since the oldest sample of a week. */
export function forecastOf({ usedBytes, maxBytes }: Usage, samples: readonly Sample[], nowMs: number): Forecast {
  const [oldest] = samples.filter(({ atMs }) => nowMs - atMs <= SAMPLES_MAX * HOUR_MS);
  if (oldest === undefined || nowMs - oldest.atMs < HOUR_MS) return { fullInMs: null, isMeasured: false };
  const grownPerMs = (usedBytes - oldest.usedBytes) / (nowMs - oldest.atMs);
  const fullInMs = Math.max(0, Math.round((maxBytes - usedBytes) / grownPerMs));
  return { fullInMs: maxBytes > 0 && grownPerMs > 0 ? fullInMs : null, isMeasured: true };
}

/** Returns the samples in `keys.memory`, the oldest first. */
export async function readSamples(client: RedisClient, key: string): Promise<Sample[]> {
  const samples = Object.values(await client.hgetall(key)).map((text) => {
    const [atMs = 0, usedBytes = 0] = text.split(' ').map(Number);
    return { atMs, usedBytes };
  });
  return samples.filter(({ atMs, usedBytes }) => atMs > 0 && usedBytes > 0).sort((a, b) => a.atMs - b.atMs);
}

/** The first process that asks in an hour adds a sample and removes those older than a week. */
async function addSample(client: RedisClient, key: string, { atMs, usedBytes }: Sample): Promise<void> {
  const hour = Math.floor(atMs / HOUR_MS);
  if ((await client.hsetnx(key, String(hour), `${atMs} ${usedBytes}`)) === 0) return;
  const old = (await client.hkeys(key)).filter((field) => !(Number(field) > hour - SAMPLES_MAX));
  if (old.length > 0) await client.hdel(key, ...old);
  await client.pexpire(key, KEPT_MS);
}

/**
 * Returns `memory`, which returns the newest numbers and reads them again if they are old, and
 * `refreshMemory`, which resolves when they are new. In a cluster they are those of the fullest
 * master.
 */
export function createMemoryReader({ connection, keys }: ScriptRunner): Pick<Health, 'memory' | 'refreshMemory'> {
  let newest: RedisMemory | null = null;
  let samples: Sample[] = [];
  let sampledHour = 0;
  let readMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | null = null;

  /** Errors are left to other commands: no metric may make Redis look unavailable. */
  async function read(): Promise<void> {
    const { client } = connection;
    const masters = client instanceof Cluster ? client.nodes('master') : [client];
    const all = await Promise.all(masters.map(usageOf)).catch(() => []);
    const [fullest] = all.sort((a, b) => fillOf(b) - fillOf(a));
    const nowMs = connection.clock.now();
    const hour = Math.floor(nowMs / HOUR_MS);
    if (fullest !== undefined && hour !== sampledHour)
      try {
        await addSample(client, keys.memory, { atMs: Math.floor(nowMs), usedBytes: fullest.usedBytes });
        samples = await readSamples(client, keys.memory);
        sampledHour = hour;
      } catch {
        // Redis is full or away: the next read tries again.
      }
    newest = fullest === undefined ? null : { ...fullest, ...forecastOf(fullest, samples, nowMs) };
    [reading, readMs] = [null, performance.now()];
  }

  async function refreshMemory(): Promise<void> {
    const { capabilities, status } = connection;
    // A Redis that is full still replies.
    const mayRead = status.refusal === null && capabilities?.identity === 'info';
    const everyMs = status.trouble === null ? EVERY_MS : EVERY_MS_WHILE_FULL;
    if (mayRead && performance.now() >= readMs + everyMs) reading ??= read();
    if (reading !== null) await reading;
  }

  return {
    refreshMemory,
    memory() {
      void refreshMemory();
      return newest;
    },
  };
}
