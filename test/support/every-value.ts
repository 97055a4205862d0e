/** All that Redis has under a prefix, and all that an archive folder has, as bytes. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Redis } from 'ioredis';

/** Reads a key with the command of its type. */
async function contentOf(client: Redis, key: string): Promise<unknown> {
  switch (await client.type(key)) {
    case 'hash':
      return client.callBuffer('HGETALL', key);
    case 'zset':
      return client.callBuffer('ZRANGE', key, 0, '-1', 'WITHSCORES');
    case 'set':
      return client.callBuffer('SMEMBERS', key);
    case 'stream':
      return client.callBuffer('XRANGE', key, '-', '+');
    case 'list':
      return client.callBuffer('LRANGE', key, 0, '-1');
    default:
      return client.getBuffer(key);
  }
}

function flat(value: unknown): Buffer[] {
  if (Array.isArray(value)) return value.flatMap(flat);
  return Buffer.isBuffer(value) ? [value] : [Buffer.from(String(value))];
}

/** Returns the keys whose name or value has one of the texts. */
export async function keysNaming(client: Redis, prefix: string, texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const key of await client.keys(`${prefix}*`)) {
    const values = [Buffer.from(key), ...flat(await contentOf(client, key))];
    if (values.some((bytes) => texts.some((text) => bytes.includes(text)))) found.push(key);
  }
  return found.sort();
}

/** Returns the files below a folder that have one of the texts, decompressed. */
export function filesNaming(folder: string, texts: readonly string[]): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const bytes = readFileSync(path);
      const text = path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
      return texts.some((one) => text.includes(one));
    });
}
