/**
 * The Lua scripts, as one library of Redis Functions: loaded when a server turns out not to have
 * it, then called by name. A script sent by EVALSHA would build all functions it is made of anew at
 * each call (measured: 10 us of the 72 that a single decision takes).
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Cluster, type Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import type { RedisClient } from './connection.ts';

export const SCRIPT_NAMES = [
  'reserve',
  'finish',
  'release_slice',
  'tick',
  'sale_create',
  'sale_move',
  'show_create',
  'show_apply',
  'fence',
  'load',
  'chat_append',
  'counts',
  'audit',
  'mine',
  'waitlist',
  'recover',
  'repair',
  'gate',
  'moderate',
] as const;
export type ScriptName = (typeof SCRIPT_NAMES)[number];

const LIBRARY_PREFIX = 'stampede_';
/** Stands for the library's name while that is worked out. */
const NAME_MARK = '<name>';
/** Libraries of other releases that may lie about on a server: one is some 70 KB. */
const RELEASES_KEPT_MAX = 8;
const FOLDER = fileURLToPath(new URL('./lua/', import.meta.url));

const CONSTANTS: Readonly<Record<string, number>> = {
  LOG_ENTRIES_MAX: LIMITS.eventLogEntriesMax,
  CONFIRM_GRACE_MS: LIMITS.confirmGraceMs,
  SWEEP_SLICE_MAX: LIMITS.sweepSliceMax,
  IDEMPOTENCY_TTL_MS: LIMITS.idempotencyTtlMs,
  SALES_PER_SHOW_MAX: LIMITS.salesPerShowMax,
  PRODUCTS_PER_SHOW_MAX: LIMITS.productsPerShowMax,
  UNITS_PER_SKU_MAX: LIMITS.unitsPerSkuMax,
  SALE_DURATION_MIN_MS: LIMITS.saleDurationMinMs,
  SALE_DURATION_MAX_MS: LIMITS.saleDurationMaxMs,
  WAITLIST_SLICE_MAX: LIMITS.waitlistSliceMax,
  WAITLIST_MAX: LIMITS.waitlistPerSkuMax,
  HOLD_MAX_MS: LIMITS.holdMaxMs,
  CHAT_REMOVED_KEPT_MAX: LIMITS.chatRemovedKeptMax,
  MUTES_PER_SHOW_MAX: LIMITS.mutesPerShowMax,
  CHAT_HISTORY_BATCHES: LIMITS.chatRingBatches,
};

/** In the order in which they build on each other. */
const PARTS = ['show', 'books', 'holds', 'waitlist_names', 'waitlist', 'clockwork', 'commit', 'chat_sample'] as const;

const read = (path: string): string => readFileSync(`${FOLDER}${path}.lua`, 'utf8');

export interface ScriptLibrary {
  readonly name: string;
  readonly source: string;
  /** The name of a script's function. */
  functionOf(script: ScriptName): string;
}

let library: ScriptLibrary | null = null;

/**
 * One library of Redis Functions: the parts, which run once when it is loaded, and around each
 * script a function. Named after its content, so that two releases may share a server.
 */
export function scriptLibrary(): ScriptLibrary {
  library ??= readLibrary();
  return library;
}

function readLibrary(): ScriptLibrary {
  checkScriptFolder();
  const constants = Object.entries(CONSTANTS).map(([constant, value]) => `local ${constant} = ${value}`);
  const body = [...constants, ...PARTS.map((part) => read(`lib/${part}`)), ...SCRIPT_NAMES.map(registration)].join(
    '\n',
  );
  const version = createHash('sha256').update(body).digest('hex').slice(0, 12);
  const name = `${LIBRARY_PREFIX}${version}`;
  return {
    name,
    source: `#!lua name=${name}\n${body.replaceAll(NAME_MARK, name)}`,
    functionOf: (script) => `${name}_${script}`,
  };
}

/** Without flags Redis refuses the whole call when it is out of memory or read-only. */
function registration(name: ScriptName): string {
  const text = read(name);
  const options = /^-- @options (.+)$/m.exec(text)?.[1]?.split(' ') ?? [];
  return [
    'redis.register_function({',
    `function_name = '${NAME_MARK}_${name}', flags = { ${options.includes('no-writes') ? "'no-writes'" : ''} }, callback = function(KEYS, ARGV)`,
    'begin(KEYS, ARGV)',
    ...(options.includes('no-show') ? [] : ['local unopened = open_show()', 'if unopened then return unopened end']),
    text,
    'end })',
  ].join('\n');
}

/**
 * Every file in `lua/` is listed and every listed script has a file; anything else is a mistake
 * found at start.
 */
export function checkScriptFolder(): void {
  const files = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.lua'))
    .map((file) => file.slice(0, -'.lua'.length))
    .sort();
  const listed = [...SCRIPT_NAMES].sort();
  if (files.join() !== listed.join()) throw new Error(`lua/ holds [${files}], scripts.ts lists [${listed}]`);
}

export type ScriptReply = Array<Buffer | number | ScriptReply>;

export interface Scripts {
  /** Runs a script on the keys of one show; replies come as Buffers. */
  run(name: ScriptName, keys: readonly string[], ...values: Array<string | Buffer>): Promise<ScriptReply>;
}

export function registerScripts(client: RedisClient): Scripts {
  const { functionOf } = scriptLibrary();
  const functions = Object.fromEntries(SCRIPT_NAMES.map((name) => [name, functionOf(name)])) as Record<
    ScriptName,
    string
  >;
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

/** A server that was emptied, or joined a cluster just now. Nothing has run. */
const isMissing = (error: unknown): boolean => error instanceof Error && error.message.includes('Function not found');

/**
 * Makes sure that the server has the scripts; of a cluster, every master, since a slot may move to
 * any of them.
 */
export async function loadScripts(client: RedisClient): Promise<void> {
  await Promise.all((client instanceof Cluster ? client.nodes('master') : [client]).map(loadOnto));
}

async function loadOnto(server: Redis): Promise<void> {
  const { name, source } = scriptLibrary();
  const listed = (await server.function('LIST', 'LIBRARYNAME', `${LIBRARY_PREFIX}*`)) as unknown[][];
  const known = listed.map((fields) => String(fields[fields.indexOf('library_name') + 1]));
  if (known.includes(name)) return;
  // A release that is still in use loads its own again.
  if (known.length >= RELEASES_KEPT_MAX)
    await Promise.all(known.map((other) => server.function('DELETE', other).catch(() => {})));
  await server.function('LOAD', source).catch((error: unknown) => {
    // Another process was quicker.
    if (!(error instanceof Error && error.message.includes('already exists'))) throw error;
  });
}
