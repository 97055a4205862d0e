/**
 * The Lua scripts as one library of Redis Functions, loaded on servers that do not have it. With
 * EVALSHA each call would build all functions again (10 us of the 72 of a single decision).
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cluster, type Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import type { RedisClient } from './client.ts';
import { assembleLibrary, type LuaFiles, withName } from './lua-library.ts';

export const SCRIPT_NAMES = [
  'reserve',
  'finish',
  'release_slice',
  'mine',
  'waitlist',
  'sale_create',
  'sale_move',
  'show_create',
  'show_apply',
  'moderate',
  'tick',
  'load',
  'chat_append',
  'counts',
  'gate',
  'fence',
  'recover',
  'audit',
  'repair',
] as const;
export type ScriptName = (typeof SCRIPT_NAMES)[number];

const LIBRARY_PREFIX = 'stampede_';
/** Libraries of other releases that may stay on a server; one has some 70 KB. */
const RELEASES_KEPT_MAX = 8;
const FOLDER = fileURLToPath(new URL('./lua/', import.meta.url));

let library: ReturnType<typeof readLibrary> | null = null;

/** The library is named after its content, so that two releases may share a server. */
export function scriptLibrary(): ReturnType<typeof readLibrary> {
  library ??= readLibrary();
  return library;
}

function readFolder(folder: string): Record<string, string> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.lua'));
  return Object.fromEntries(files.sort().map((file) => [file.slice(0, -4), readFileSync(join(folder, file), 'utf8')]));
}

/** Every file in `lua/` must be listed and every listed script must have a file. */
export function readLuaFiles(): LuaFiles {
  const scripts = readFolder(FOLDER);
  const [found, listed] = [Object.keys(scripts), [...SCRIPT_NAMES].sort()];
  if (found.join() !== listed.join()) throw new Error(`lua/ has [${found}], scripts.ts lists [${listed}]`);
  return { scripts, parts: readFolder(join(FOLDER, 'lib')) };
}

function readLibrary() {
  const body = assembleLibrary(readLuaFiles(), LIMITS);
  const name = `${LIBRARY_PREFIX}${createHash('sha256').update(body).digest('hex').slice(0, 12)}`;
  const functions = Object.fromEntries(SCRIPT_NAMES.map((script) => [script, `${name}_${script}`]));
  return { name, source: withName(body, name), functions: functions as Record<ScriptName, string> };
}

export type ScriptReply = Array<Buffer | number | ScriptReply>;

export interface Scripts {
  /** Runs a script on the keys of one show; replies come as Buffers. */
  run(name: ScriptName, keys: readonly string[], ...values: Array<string | Buffer>): Promise<ScriptReply>;
}

export function registerScripts(client: RedisClient): Scripts {
  const { functions } = scriptLibrary();
  return {
    async run(name, keys, ...values) {
      const call = (): Promise<ScriptReply> =>
        client.callBuffer('fcall', functions[name], keys.length, ...keys, ...values) as Promise<ScriptReply>;
      try {
        return await call();
      } catch (error) {
        if (!isMissing(error)) throw error;
        await loadScripts(client);
        return call();
      }
    },
  };
}

/** The server was emptied, or has just joined a cluster. Nothing has run. */
const isMissing = (error: unknown): boolean => error instanceof Error && error.message.includes('Function not found');

/** Loads the library where it is missing; in a cluster on every master, since slots move. */
export async function loadScripts(client: RedisClient): Promise<void> {
  await Promise.all((client instanceof Cluster ? client.nodes('master') : [client]).map(loadOnto));
}

async function loadOnto(server: Redis): Promise<void> {
  const { name, source } = scriptLibrary();
  const listed = (await server.function('LIST', 'LIBRARYNAME', `${LIBRARY_PREFIX}*`)) as unknown[][];
  const known = listed.map((fields) => String(fields[fields.indexOf('library_name') + 1]));
  if (known.includes(name)) return;
  // A release that is still in use loads its library again.
  if (known.length >= RELEASES_KEPT_MAX)
    await Promise.all(known.map((other) => server.function('DELETE', other).catch(() => {})));
  await server.function('LOAD', source).catch((error: unknown) => {
    // Another process loaded it first.
    if (!(error instanceof Error && error.message.includes('already exists'))) throw error;
  });
}
