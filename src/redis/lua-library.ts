/**
 * Assembles the Lua files into one library of Redis Functions, or each script into a source for
 * EVALSHA. Each file runs in its separate scope and names the parts it uses: `-- @include show
 * books`. A part returns one table, which other files see under the part's name
 * (`lib/chat_sample.lua` is `ChatSample`); a script returns `function(args, argv)`. Functions are
 * built at the first call, because `redis.call` does not exist while Redis loads a library.
 */

export interface LuaFiles {
  /** Source text by name, without `.lua`. */
  readonly parts: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
}

const NAME_MARK = '<name>';

const tableOf = (part: string): string => part.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
const headerOf = (text: string, field: string): string[] =>
  new RegExp(`^-- @${field} (.+)$`, 'm').exec(text)?.[1]?.split(' ') ?? [];
const codeOf = (text: string): string => text.replace(/--.*$/gm, '');

/** The tables that a file uses, other than its own. */
function usedTables(text: string): Set<string> {
  const code = codeOf(text);
  const used = new Set([...code.matchAll(/\b[A-Z][a-z]\w*/g)].map(([name]) => name));
  for (const [, own] of code.matchAll(/^local ([A-Z][a-z]\w*) = \{/gm)) used.delete(own as string);
  return used;
}

/** Returns the includes of a file. Throws if they differ from what it uses. */
function includesOf(file: string, text: string, known: ReadonlySet<string>): string[] {
  const includes = headerOf(text, 'include');
  const used = usedTables(text);
  for (const part of includes) {
    if (!known.has(part)) throw new Error(`${file} includes ${part}, which is no part in lua/lib`);
    if (!used.delete(tableOf(part))) throw new Error(`${file} includes ${part} but does not use ${tableOf(part)}`);
  }
  if (used.size > 0) throw new Error(`${file} uses ${[...used].join(', ')} without including it`);
  return includes.filter((part) => part !== LIMITS_PART);
}

/** The part that the loader writes: the limits that files use, by their name in `src/limits.ts`. */
const LIMITS_PART = 'limits';

/** Returns the parts that `wanted` needs, each behind those it includes. */
function inOrder(wanted: readonly string[], includes: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const visit = (part: string, path: readonly string[]): void => {
    if (path.includes(part)) throw new Error(`parts include each other: ${[...path, part].join(' > ')}`);
    if (done.has(part)) return;
    for (const included of includes.get(part) ?? []) visit(included, [...path, part]);
    done.add(part);
  };
  for (const part of wanted) visit(part, []);
  return [...done];
}

function limitsTable(texts: readonly string[], limits: Readonly<Record<string, unknown>>): string {
  const text = codeOf(texts.join('\n'));
  if (/\bLimits\b(?!\.\w)/.test(text)) throw new Error('the name of a limit is computed: write Limits.<name>');
  const names = [...new Set([...text.matchAll(/\bLimits\.(\w+)/g)].map(([, name]) => name as string))].sort();
  const fields = names.map((name) => {
    if (typeof limits[name] !== 'number') throw new Error(`src/limits.ts has no number ${name}`);
    return `${name} = ${limits[name]}`;
  });
  return `local Limits = { ${fields.join(', ')} }`;
}

const chunk = (text: string): string => `(function()\n${text}\nend)()`;

const onlyReads = (text: string): boolean => headerOf(text, 'options').includes('no-writes');
/** Without this flag Redis refuses the call when it is out of memory (full.ts) or read-only. */
const flagsOf = (text: string): string => (onlyReads(text) ? "'no-writes'" : '');

const registration = (script: string, text: string): string => `redis.register_function({
function_name = '${NAME_MARK}_${script}', flags = { ${flagsOf(text)} },
callback = function(keys, argv)
scripts = scripts or build()
return scripts.${script}(keys, argv)
end })`;

const ACCESS_PART = 'access';

/** A script with the parts that it needs, each behind those it includes. */
interface Plan {
  readonly script: string;
  readonly text: string;
  readonly needed: readonly string[];
  /** Its own and those of its parts, in the order in which they are built. */
  readonly texts: readonly string[];
}

function planScripts({ parts, scripts }: LuaFiles): { plans: Plan[]; used: string[] } {
  const known = new Set([...Object.keys(parts), LIMITS_PART]);
  const includes = new Map(
    Object.entries(parts).map(([part, text]) => [part, includesOf(`lib/${part}.lua`, text, known)]),
  );
  const plans = Object.entries(scripts).map(([script, text]) => {
    const needed = inOrder(['show', ...includesOf(`${script}.lua`, text, known)], includes);
    return { script, text, needed, texts: [...needed.map((part) => parts[part] ?? ''), text] };
  });
  const used = inOrder(
    plans.flatMap(({ needed }) => needed),
    includes,
  );
  for (const part of Object.keys(parts)) if (!used.includes(part)) throw new Error(`no file includes lib/${part}.lua`);
  return { plans, used };
}

const builtParts = (names: readonly string[], { parts }: LuaFiles): string[] =>
  names.map((part) => `local ${tableOf(part)} = ${chunk(parts[part] ?? '')}`);

/** These have run before any other command of a call. */
const ALWAYS_FIRST = ['TIME', 'HMGET'];
/** The other commands, at the index of how many arguments a valid call has at least. */
const BY_ARGUMENTS = [
  '',
  'EXISTS HGETALL HLEN HVALS PFCOUNT PERSIST TYPE UNLINK XLEN ZCARD',
  'HDEL HEXISTS HGET PEXPIRE PFADD PUBLISH RENAME SET SPUBLISH ZREM ZSCORE',
  'HINCRBY HSET XRANGE XREVRANGE ZADD ZCOUNT ZLEXCOUNT ZRANGE ZREMRANGEBYRANK ZREMRANGEBYSCORE',
  'XADD',
].map((names) => names.split(' '));

/** Returns the commands that a script may run, for lib/access.lua. */
export function commandsOf(texts: readonly string[]): string[] {
  const found = [...codeOf(texts.join('\n')).matchAll(/\b(?:call|publish)\('([A-Z]+)'/g)].map(([, name = '']) => name);
  return [...new Set(found)].filter((name) => !ALWAYS_FIRST.includes(name)).sort();
}

/** The parts that add to the reply what happened to holds, and events that the log did not take. */
const REPORTING_PARTS = ['holds', 'commit'];

/** Returns the lines that start a call and then run it. */
function runLines({ text, needed }: Plan, { parts }: LuaFiles): string[] {
  const codes = needed.filter((part) => part !== 'show').map((part) => [part, codeOf(parts[part] ?? '')] as const);
  const started = codes.filter(([, code]) => code.includes('.each_call(')).map(([part]) => part);
  const isTimed = [codeOf(text), ...codes.map(([, code]) => code)].some((code) => /\bShow\.now\b/.test(code));
  const isOpened = !headerOf(text, 'options').includes('no-show');
  return [
    'Show.each_call(keys, argv)',
    ...(isTimed ? ['Show.read_clock()'] : []),
    ...started.map((part) => `${tableOf(part)}.each_call(${part === ACCESS_PART ? 'need_each' : ''})`),
    ...(isOpened
      ? [`local error_reply = Show.open(${onlyReads(text)})`, 'if error_reply then return error_reply end']
      : []),
    `return ${REPORTING_PARTS.filter((part) => needed.includes(part)).reduce(
      (reply, part) => `${tableOf(part)}.reported(${reply})`,
      'run(cmsgpack.unpack(argv[2]), argv)',
    )}`,
  ];
}

/** Returns the lines that build a script when its parts are built. */
function scriptLines({ text, needed, texts }: Plan): string[] {
  const run = `local run = ${chunk(text)}`;
  if (!needed.includes(ACCESS_PART)) return [run];
  const needs = commandsOf(texts).map((name) => {
    const count = BY_ARGUMENTS.findIndex((names) => names.includes(name));
    if (count < 0) throw new Error(`lua-library.ts does not know how many arguments ${name} has`);
    return `need('${name}', ${count})`;
  });
  return [run, `local function need_each(need)\n${needs.join('\n')}\nend`];
}

/** Returns the library's source with `<name>` in place of its name. */
export function assembleLibrary(files: LuaFiles, limits: Readonly<Record<string, unknown>>): string {
  const { plans, used } = planScripts(files);
  return [
    'local scripts',
    'local function build()',
    limitsTable([...Object.values(files.parts), ...Object.values(files.scripts)], limits),
    ...builtParts(used, files),
    'return {',
    ...plans.flatMap((plan) => [
      `${plan.script} = (function()`,
      ...scriptLines(plan),
      'return function(keys, argv)',
      ...runLines(plan, files),
      'end',
      'end)(),',
    ]),
    '}',
    'end',
    ...plans.map(({ script, text }) => registration(script, text)),
  ].join('\n');
}

/**
 * Returns the source of each script for EVALSHA: the same files, without parts that it does not
 * need, because each call builds them again. It has no `#!lua` line, which not every server knows:
 * without one Redis refuses the first write that it cannot accept, so no call is refused in part.
 */
export function assembleScripts(files: LuaFiles, limits: Readonly<Record<string, unknown>>): Record<string, string> {
  const sources = planScripts(files).plans.map((plan) => {
    const lines = [
      'local keys, argv = KEYS, ARGV',
      limitsTable(plan.texts, limits),
      ...builtParts(plan.needed, files),
      ...scriptLines(plan),
      ...runLines(plan, files),
    ];
    return [plan.script, codeOf(lines.join('\n')).replace(/^\s*\n/gm, '')] as const;
  });
  return Object.fromEntries(sources);
}

export const withName = (body: string, name: string): string =>
  `#!lua name=${name}\n${body.replaceAll(NAME_MARK, name)}`;
