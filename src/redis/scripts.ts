/**
 * The Lua scripts on a server: as one library of Redis Functions, or as scripts for EVALSHA where
 * functions are not allowed. Either is loaded on servers that do not have it ("Scripts and relay
 * have two modes" in src/README.md).
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cluster, type Redis } from 'ioredis';
import type { RedisCapabilities } from '../domain/health.ts';
import { LIMITS } from '../limits.ts';
import type { RedisClient } from './client.ts';
import { FIRST_WRITE } from './full.ts';
import { assembleLibrary, assembleScripts, type LuaFiles, withName } from './lua-library.ts';

export const SCRIPT_NAMES = [
  'reserve',
  'finish',
  'refund',
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
  'migrate',
  'recover',
  'audit',
  'repair',
  'archive',
  'erase',
  'export',
  'import',
  'check',
] as const;
export type ScriptName = (typeof SCRIPT_NAMES)[number];

/** How scripts run, and how they publish to the relay. */
export type ScriptModes = Pick<RedisCapabilities, 'scripts' | 'publish'>;
export const FIRST_CHOICE: ScriptModes = Object.freeze({ scripts: 'functions', publish: 'sharded' });

const LIBRARY_PREFIX = 'stampede_';
/** Libraries of other releases that may stay on a server; one has some 70 KB. */
const RELEASES_KEPT_MAX = 8;
const FOLDER = fileURLToPath(new URL('./lua/', import.meta.url));

/** Returns `make`, which runs once for each mode. */
function once<T>(make: (publish: ScriptModes['publish']) => T): (publish?: ScriptModes['publish']) => T {
  const made = new Map<string, T>();
  return (publish = 'sharded') => {
    const known = made.get(publish) ?? make(publish);
    made.set(publish, known);
    return known;
  };
}

/** Returns the texts of a folder by name. The files publish with SPUBLISH. */
function readFolder(folder: string, publish: ScriptModes['publish']): Record<string, string> {
  const names = readdirSync(folder).filter((file) => file.endsWith('.lua'));
  const texts = names.sort().map((name) => [name.slice(0, -4), readFileSync(join(folder, name), 'utf8')] as const);
  const command = publish === 'sharded' ? 'SPUBLISH' : 'PUBLISH';
  return Object.fromEntries(texts.map(([name, text]) => [name, text.replaceAll('SPUBLISH', command)]));
}

/** Every file in `lua/` must be listed and every listed script must have a file. */
export const readLuaFiles = once((publish): LuaFiles => {
  const scripts = readFolder(FOLDER, publish);
  const [found, listed] = [Object.keys(scripts), [...SCRIPT_NAMES].sort()];
  if (found.join() !== listed.join()) throw new Error(`lua/ has [${found}], scripts.ts lists [${listed}]`);
  return { scripts, parts: readFolder(join(FOLDER, 'lib'), publish) };
});

/** The library is named after its content, so that two releases may share a server. */
export const scriptLibrary = once((publish) => {
  const body = assembleLibrary(readLuaFiles(publish), LIMITS);
  const name = `${LIBRARY_PREFIX}${createHash('sha256').update(body).digest('hex').slice(0, 12)}`;
  const functions = Object.fromEntries(SCRIPT_NAMES.map((script) => [script, `${name}_${script}`]));
  return { name, source: withName(body, name), functions: functions as Record<ScriptName, string> };
});

interface EvalScript {
  readonly source: string;
  readonly sha: string;
}

/** Returns the sources for EVALSHA, each with its hash. */
function hashedScripts(publish: ScriptModes['publish'], first = ''): Record<ScriptName, EvalScript> {
  const hashed = Object.entries(assembleScripts(readLuaFiles(publish), LIMITS)).map(([name, text]) => {
    const source = first + text;
    return [name, { source, sha: createHash('sha1').update(source).digest('hex') }] as const;
  });
  return Object.fromEntries(hashed) as Record<ScriptName, EvalScript>;
}

export const evalScripts = once((publish) => hashedScripts(publish));
/** The same, accepted by a full Redis. */
const fullScripts = once((publish) => hashedScripts(publish, `${FIRST_WRITE}\n`));

export type ScriptReply = Array<Buffer | number | ScriptReply>;

export interface Scripts {
  /** Runs a script on the keys of one show; replies come as Buffers. */
  run(name: ScriptName, keys: readonly string[], ...values: Array<string | Buffer>): Promise<ScriptReply>;
  /** As `run`, with a script that a full Redis accepts, in either mode (full.ts). */
  runIfFull(name: ScriptName, keys: readonly string[], ...values: Array<string | Buffer>): Promise<ScriptReply>;
}

/** Both are read at each call: they may differ after a reconnect. */
export function registerScripts(client: () => RedisClient, modes: () => ScriptModes): Scripts {
  let loading: Promise<void> | null = null;
  /** All calls that found nothing wait for the same load. */
  function load(now: ScriptModes): Promise<void> {
    loading ??= loadScripts(client(), now).finally(() => {
      loading = null;
    });
    return loading;
  }

  const caller =
    (keys: readonly string[], values: ReadonlyArray<string | Buffer>) =>
    (command: string, script: string): Promise<ScriptReply> =>
      client().callBuffer(command, script, keys.length, ...keys, ...values) as Promise<ScriptReply>;

  return {
    async run(name, keys, ...values) {
      const now = modes();
      const isEval = now.scripts === 'eval';
      const call = caller(keys, values);
      const found = (): Promise<ScriptReply> =>
        isEval
          ? call('evalsha', evalScripts(now.publish)[name].sha)
          : call('fcall', scriptLibrary(now.publish).functions[name]);
      try {
        return await found();
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
      await load(now);
      try {
        return await found();
      } catch (error) {
        // This user may not run SCRIPT LOAD, or the slot of the show has just moved.
        if (!isEval || !isMissing(error)) throw error;
        return call('eval', evalScripts(now.publish)[name].source);
      }
    },

    async runIfFull(name, keys, ...values) {
      const { source, sha } = fullScripts(modes().publish)[name];
      const call = caller(keys, values);
      try {
        return await call('evalsha', sha);
      } catch (error) {
        if (!isMissing(error)) throw error;
        return call('eval', source);
      }
    },
  };
}

/** The server was emptied, or has just joined a cluster. Nothing has run. */
const isMissing = (error: unknown): boolean =>
  error instanceof Error && /^NOSCRIPT|Function not found/.test(error.message);

/** Loads what is missing; in a cluster on every master, since slots move. */
export async function loadScripts(client: RedisClient, { scripts, publish }: ScriptModes): Promise<void> {
  const servers = client instanceof Cluster ? client.nodes('master') : [client];
  await Promise.all(servers.map((server) => (scripts === 'eval' ? loadEach : loadLibrary)(server, publish)));
}

/** Without the permission for SCRIPT, EVAL loads a script at its first call. */
async function loadEach(server: Redis, publish: ScriptModes['publish']): Promise<void> {
  const sources = Object.values(evalScripts(publish)).map(({ source }) => source);
  await Promise.all(sources.map((source) => server.script('LOAD', source))).catch(() => {});
}

async function loadLibrary(server: Redis, publish: ScriptModes['publish']): Promise<void> {
  const { name, source } = scriptLibrary(publish);
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
