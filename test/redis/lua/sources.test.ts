/** Rules for the Lua files, checked on their sources: headers, includes, keys, codes, state. */
import t, { type Test } from 'tap';
import { startRedis } from '../../../bench/launch/redis-server.ts';
import { ERRORS } from '../../../src/protocol/codes.ts';
import { SHOW_KEYS } from '../../../src/redis/keys.ts';
import { assembleLibrary } from '../../../src/redis/lua-library.ts';
import { evalScripts, readLuaFiles, SCRIPT_NAMES, scriptLibrary } from '../../../src/redis/scripts.ts';

const LOCALS_MAX = 150;
/** What Lua allows in one function. */
const LUA_LOCALS_MAX = 200;
const { scripts, parts } = readLuaFiles();
const codeOf = (text: string): string => text.replace(/ *--.*$/gm, '');
const headerOf = (text: string): string => text.slice(0, text.search(/^(?!--)/m));
const partFiles = Object.entries(parts).map(([name, text]) => [`lib/${name}`, text] as const);
const all = [...Object.entries(scripts), ...partFiles];

t.test('every script has its header: purpose, arguments, what it returns', async (t) => {
  t.ok(Object.keys(scripts).length >= 10, 'the folder was read');
  for (const [script, text] of Object.entries(scripts))
    for (const rule of [`^-- ${script}: `, 'ARGV\\[', 'Returns \\{'])
      t.match(headerOf(text), new RegExp(rule), `${script}: ${rule}`);
});

t.test('every part says its purpose and what it exports', async (t) => {
  for (const [part, text] of Object.entries(parts)) {
    t.match(headerOf(text), new RegExp(`^-- ${part}: `), part);
    t.match(headerOf(text), /^-- Exports /m, part);
  }
});

t.test('keys are declared, never built: the first argument of every command is one of them', async (t) => {
  const named = /(K\.show, [^=]+) = unpack\(keys\)/.exec(parts.show ?? '')?.[1] ?? '';
  const declared = new Set([...named.matchAll(/K\.\w+/g)].map(([name]) => name));
  t.equal(declared.size, SHOW_KEYS.length);
  const isDeclared = (key: string | undefined): boolean => declared.has(key?.trim().replace('Show.keys.', 'K.') ?? '');
  for (const [file, text] of all) {
    const source = codeOf(text);
    // A parameter called `key` is checked where the function is called.
    const functions = [...source.matchAll(/local function (\w+)\(key[,)]/g)].map(([, name]) => name as string);
    // A loop over all keys of the show.
    const loops = /for \w+, key in pairs\(K\)/.test(source);
    for (const [whole, command, key] of source.matchAll(/\b(?:call|publish)\(\s*'([A-Z]+)'(?:,\s*([^,)]+))?/g))
      t.ok(
        command === 'TIME' || isDeclared(key) || (key === 'key' && (functions.length > 0 || loops)),
        `${file}: ${whole}`,
      );
    for (const name of ['fetch', ...functions])
      for (const [whole, key] of source.matchAll(new RegExp(`(?<!function )\\b${name}\\(([^,)]+)`, 'g')))
        t.ok(isDeclared(key) || (key === 'key' && functions.length > 0), `${file}: ${whole}`);
    t.notMatch(source, /\bcall\(\s*[^'\s]/, `${file}: no command whose name is computed`);
    t.notMatch(source, /KEYS\[|\bkeys\[/, `${file}: keys have names`);
    // check.lua asks; show.lua publishes where acl_check_cmd is missing, and Show.try only reads.
    const publishing = 'redis.acl_check_cmd and redis.call or redis.pcall';
    const allowed = ['pcall(acl_check_cmd,', publishing, 'pcall(read_records,', 'pcall(unpack_record,'];
    const checked = allowed.reduce((code, part) => code.replaceAll(part, ''), source);
    t.notMatch(checked, /pcall/, `${file}: an error after the first write must not be swallowed`);
  }
});

t.test('every refusal in Lua is a code of the catalog', async (t) => {
  const found = new Set<string>();
  for (const [, text] of all) {
    const source = codeOf(text);
    for (const [, code] of source.matchAll(/return (?:\{ (?:'ok', )?)?'([a-z]+_[a-z_]+)'/g)) found.add(code as string);
    for (const [, table] of source.matchAll(/local (?:ENDED|CLOSED) = \{([^}]+)\}/g))
      for (const [, code] of (table as string).matchAll(/'([a-z_]+)'/g)) found.add(code as string);
  }
  t.ok(found.size >= 15, `codes were found: ${[...found].sort()}`);
  for (const code of found) t.ok(Object.hasOwn(ERRORS, code), code);
});

t.test('Redis gets one library with a function for each script', async (t) => {
  const { name, source, functions } = scriptLibrary();
  t.ok(source.startsWith(`#!lua name=${name}\n`));
  t.notMatch(source, /<name>/);
  for (const script of SCRIPT_NAMES) t.ok(source.includes(`function_name = '${functions[script]}'`), script);
  t.match(name, /^stampede_[0-9a-f]{12}$/, 'named after its content: a release does not take the functions of another');
});

t.test('where functions are not allowed, each script is one source for EVALSHA', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  for (const [publish, other] of [['sharded', /'PUBLISH'/] as const, ['classic', /'SPUBLISH'/] as const]) {
    t.notMatch(scriptLibrary(publish).source, other);
    for (const [script, { source, sha }] of Object.entries(evalScripts(publish))) {
      t.equal(await redis.admin.script('LOAD', source), sha, `${script} compiles`);
      t.notMatch(source, other);
      t.notMatch(source, /^#!/, 'a line that Dragonfly does not compile');
    }
  }
  const { fence, reserve } = evalScripts();
  t.ok(fence.source.length < reserve.source.length / 5, 'each has only the parts that it needs');
  t.not(scriptLibrary('classic').name, scriptLibrary().name, 'the relay of a library is a part of its name');
});

const CONSTANT = /^(?:[A-Z][A-Z_]*(?:, )?)+$/;
const namesIn = (text: string, pattern: RegExp): string[] =>
  [...codeOf(text).matchAll(pattern)].flatMap(([, names]) => names?.split(', ') ?? []);
/** What a file keeps between calls: its locals, and fields of tables that a function sets. */
const localsOf = (text: string): string[] => namesIn(text, /^local ([a-z_]+(?:, [a-z_]+)*)$/gm);
const fieldsOf = (text: string): string[] => namesIn(text, /^ +((?:[A-Z][a-z]\w*\.[a-z_]+(?:, )?)+) =/gm);
const startOf = (text: string): string => /function \w+\.each_call\(.*?end$/ms.exec(codeOf(text))?.[0] ?? '';
const isSet = (name: string, start: string): boolean =>
  new RegExp(`(?:^|[ ,])${name.replace('.', '\\.')}(?:, [\\w., ]+)? =`, 'm').test(start);

t.test('no call sees state of another: each part sets all of its state when a call starts', async (t) => {
  const started = Object.values(parts).map(startOf).join('\n');
  for (const [file, text] of all) {
    for (const name of localsOf(text)) t.ok(isSet(name, startOf(text)), `${file}: ${name}`);
    for (const name of fieldsOf(text)) t.ok(isSet(name, started), `${file}: ${name}`);
    t.notMatch(codeOf(text), /^[A-Z]\w*\.\w+.* = .*\{/m, `${file}: no table in a field before the first call`);
    for (const [whole, names, value] of codeOf(text).matchAll(/^local (\w+(?:, \w+)*) = (.*)$/gm)) {
      const isFixed = CONSTANT.test(names as string) || !/[{(]/.test(value as string);
      const isOwnTable = /^(?:[A-Z]\w*|K|apply|move) = \{/.test(whole.slice('local '.length));
      t.ok(isFixed || isOwnTable, `${file}: ${whole}: only constants and functions are set while the library is built`);
    }
  }
  const leaky = 'local left_over\nfunction F()\n  Part.left_over = 1\nend';
  t.same([localsOf(leaky), fieldsOf(leaky)], [['left_over'], ['Part.left_over']], 'new state would be found');
});

t.test('scripts that only read have the flag no-writes, and no others', async (t) => {
  const WRITES =
    /call\('(?:HSET|HDEL|HINCRBY|ZADD|ZREM|XADD|UNLINK|DEL|RENAME|SPUBLISH|SET)'|(?:Commit|Ledger)\.write\(|\.run\(/;
  for (const [script, text] of Object.entries(scripts))
    t.equal(text.includes('no-writes'), !WRITES.test(codeOf(text)), script);
});

t.test('a file names exactly the parts that it uses', async (t) => {
  const part = (include: string, code: string) => `-- a part\n-- @include ${include}\n${code}\nreturn {}`;
  const show = 'return {}';
  const user = '-- @include ada\nAda.x()';
  const both = { ada: part('bob', 'Bob.x()'), bob: show };
  const cases: Array<[title: string, error: RegExp | null, files: Record<string, string>, script: string]> = [
    ['a part and its own part', null, both, user],
    ['an unknown part', /includes cyd, which is no part/, {}, '-- @include cyd\nCyd.x()'],
    ['an unused include', /includes ada but does not use Ada/, { ada: show }, '-- @include ada\n-- Ada.x()'],
    ['a missing include', /uses Ada without including it/, { ada: show }, 'Ada.x()'],
    ['a missing include of a table as a value', /uses Ada without including it/, { ada: show }, 'local a = Ada'],
    ['a cycle', /ada > bob > ada/, { ...both, bob: part('ada', 'Ada.x()') }, user],
    ['a part without users', /no file includes lib\/ada/, { ada: show }, ''],
    ['an unknown limit', /has no number most/, {}, '-- @include limits\nreturn Limits.most'],
    ['a computed limit', /name of a limit is computed/, {}, "-- @include limits\nreturn Limits['most']"],
  ];
  for (const [title, error, more, script] of cases) {
    const assemble = () => assembleLibrary({ parts: { show, ...more }, scripts: { script } }, {});
    if (error) t.throws(assemble, error, title);
    else t.doesNotThrow(assemble, title);
  }
  const body = assembleLibrary({ parts: { ...both, show }, scripts: { script: user } }, {});
  t.ok(body.indexOf('local Bob =') < body.indexOf('local Ada ='), 'a part comes after those it includes');
});

t.test(`no compiled chunk has ${LOCALS_MAX} locals or more`, async (t: Test) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const client = redis.client();
  /** Compiles the library with locals added to its main chunk, or to the function of each file. */
  const compiles = (count: number, start: RegExp): Promise<boolean> => {
    const locals = `local ${Array.from({ length: count }, (_, i) => `extra${i}`).join(', ')}`;
    const source = scriptLibrary().source.replace(start, (text) => `${text}\n${locals}`);
    return client.function('LOAD', 'REPLACE', source).then(
      () => true,
      (error: Error) => {
        if (!/more than 200 local variables/.test(error.message)) throw error;
        return false;
      },
    );
  };
  for (const [chunks, start] of Object.entries({ main: /local function build\(\)/, files: /\(function\(\)$/gm })) {
    t.ok(await compiles(LUA_LOCALS_MAX - LOCALS_MAX + 1, start), `${chunks}: fewer than ${LOCALS_MAX}`);
    t.notOk(await compiles(LUA_LOCALS_MAX, start), `${chunks}: more would be found`);
  }
});
