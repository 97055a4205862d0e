/**
 * The Lua scripts: read from `lua/`, includes resolved, limits prepended, registered with ioredis, which sends EVALSHA and falls
 * back to EVAL when a restarted or promoted server does not know the script (NOSCRIPT).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LIMITS } from '../protocol/limits.ts';
import type { RedisClient } from './connection.ts';
import { SHOW_KEYS } from './keys.ts';

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

/** The source Redis gets: shebang first (it makes Redis refuse the whole script when out of memory), constants, includes, body. */
export function scriptSource(name: ScriptName): string {
  const body = readFileSync(`${FOLDER}${name}.lua`, 'utf8');
  const [shebang = '', ...rest] = body.split('\n');
  if (!shebang.startsWith('#!lua')) throw new Error(`lua/${name}.lua: the first line must be #!lua`);
  const text = rest.join('\n');
  const included = text.replace(/^-- @include (.+)$/m, (_line, names: string) =>
    names
      .trim()
      .split(/\s+/)
      .map((part) => readFileSync(`${FOLDER}lib/${part}.lua`, 'utf8'))
      .join('\n'),
  );
  const constants = Object.entries(CONSTANTS)
    .filter(([constant]) => included.includes(constant))
    .map(([constant, value]) => `local ${constant} = ${value}`);
  return [shebang, ...constants, included].join('\n');
}

/** Every file in `lua/` is listed and every listed script has a file; anything else is a mistake found at start. */
export function checkScriptFolder(): void {
  const files = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.lua'))
    .map((file) => file.slice(0, -'.lua'.length))
    .sort();
  const listed = [...SCRIPT_NAMES].sort();
  if (files.join() !== listed.join()) throw new Error(`lua/ holds [${files}], scripts.ts lists [${listed}]`);
}

export type ScriptReply = Array<Buffer | number | ScriptReply>;
type Caller = (...values: Array<string | Buffer>) => Promise<ScriptReply>;

export interface Scripts {
  /** Runs a script on the keys of one show; replies come as Buffers. */
  run(name: ScriptName, keys: readonly string[], ...values: Array<string | Buffer>): Promise<ScriptReply>;
}

export function registerScripts(client: RedisClient): Scripts {
  checkScriptFolder();
  for (const name of SCRIPT_NAMES) client.defineCommand(`stampede_${name}`, { numberOfKeys: SHOW_KEYS.length, lua: scriptSource(name) });
  const commands = client as unknown as Record<string, Caller | undefined>;
  return {
    run(name, keys, ...values) {
      const call = commands[`stampede_${name}Buffer`];
      if (!call) throw new Error(`script ${name} is not registered`);
      return call.call(client, ...keys, ...values);
    },
  };
}
