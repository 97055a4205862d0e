/** House rules of the scripts, read from their sources: headers, declared keys, known codes. */
import { readdirSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { ERRORS } from '../../../src/protocol/codes.ts';
import { SHOW_KEYS } from '../../../src/redis/keys.ts';
import { SCRIPT_NAMES, scriptLibrary } from '../../../src/redis/scripts.ts';
import { ROOT } from '../../support/root.ts';

const FOLDER = new URL('src/redis/lua/', pathToFileURL(`${ROOT}/`));
const read = (path: string): string => readFileSync(new URL(path, FOLDER), 'utf8');
const scripts = readdirSync(FOLDER).filter((file) => file.endsWith('.lua'));
const parts = readdirSync(new URL('lib/', FOLDER)).map((file) => `lib/${file}`);
const codeOf = (text: string): string => text.replace(/--.*$/gm, '');

t.test('every script has its header: purpose, arguments, what it returns', async (t) => {
  t.ok(scripts.length >= 10, 'the folder was read');
  for (const file of scripts) {
    const lines = read(file).split('\n');
    const header = lines
      .slice(
        0,
        lines.findIndex((line) => !line.startsWith('--')),
      )
      .join('\n');
    t.match(header, new RegExp(`^-- ${file.slice(0, -'.lua'.length)}: `), `${file}: says its purpose`);
    t.match(header, /ARGV\[/, `${file}: names its arguments`);
    t.match(header, /Returns \{/, `${file}: says what it returns`);
  }
});

t.test('every part says what it is for', async (t) => {
  for (const file of parts) t.match(read(file), /^-- /, file);
});

t.test('keys are declared, never built: the first argument of every command is one of them', async (t) => {
  const declared = new Set(
    [...(/(K\.show, [^=]+) = unpack\(keys\)/.exec(read('lib/show.lua'))?.[1] ?? '').matchAll(/K\.\w+/g)].map(
      ([name]) => name,
    ),
  );
  t.equal(declared.size, SHOW_KEYS.length);
  for (const file of [...scripts, ...parts]) {
    const source = codeOf(read(file));
    // A parameter called `key` is checked where the function is called.
    const handed = [...source.matchAll(/local function (\w+)\(key[,)]/g)].map(([, name]) => name ?? '');
    const allowed = new Set([...declared, ...(handed.length > 0 ? ['key'] : [])]);
    for (const [whole, command, key] of source.matchAll(/(?:redis\.)?\bcall\(\s*'([A-Z]+)'(?:,\s*([^,)]+))?/g)) {
      if (command === 'TIME') continue;
      t.ok(key !== undefined && allowed.has(key.trim()), `${file}: ${whole}`);
    }
    for (const name of ['fetch', 'write_hash', ...handed]) {
      for (const [whole, key] of source.matchAll(new RegExp(`(?<!function )\\b${name}\\(([^,)]+)`, 'g')))
        t.ok(key && declared.has(key.trim()), `${file}: ${whole}`);
    }
    t.notMatch(source, /redis\.(?:call|pcall)\(\s*[^']/, `${file}: no command whose name is computed`);
    t.notMatch(source, /KEYS\[/, `${file}: keys have names`);
    t.notMatch(source, /pcall/, `${file}: an error after the first write must not be swallowed`);
  }
});

t.test('every refusal in Lua is a code of the catalogue', async (t) => {
  const found = new Set<string>();
  for (const file of [...scripts, ...parts]) {
    const source = codeOf(read(file));
    for (const [, code] of source.matchAll(/return '([a-z]+_[a-z_]+)'/g)) found.add(code ?? '');
    for (const [, code] of source.matchAll(/return \{ '([a-z]+_[a-z_]+)'/g)) found.add(code ?? '');
    for (const [, code] of source.matchAll(/return \{ 'ok', '([a-z]+_[a-z_]+)'/g)) found.add(code ?? '');
    for (const [, table] of source.matchAll(/local (?:ENDED|CLOSED) = \{([^}]+)\}/g))
      for (const [, code] of (table ?? '').matchAll(/'([a-z_]+)'/g)) found.add(code ?? '');
    // 'sale_' .. state
    if (source.includes("'sale_' .."))
      for (const state of ['not_open', 'ended', 'cancelled']) found.add(`sale_${state}`);
  }
  t.ok(found.size >= 15, `codes were found: ${[...found].sort()}`);
  for (const code of found) t.ok(Object.hasOwn(ERRORS, code), code);
});

t.test('what Redis gets: one library, every constant defined, a function a script', async (t) => {
  const { name, source, functionOf } = scriptLibrary();
  t.ok(source.startsWith(`#!lua name=${name}\n`));
  t.notMatch(source, /<name>/);
  const code = codeOf(source);
  const used = new Set([...code.matchAll(/\b[A-Z][A-Z]+(?:_[A-Z]+)+\b(?!')/g)].map(([constant]) => constant));
  for (const constant of used) t.match(code, new RegExp(`local (?:[A-Z_, ]*\\b)?${constant}\\b`), constant);
  for (const script of SCRIPT_NAMES) t.ok(source.includes(`function_name = '${functionOf(script)}'`), script);
  t.match(name, /^stampede_[0-9a-f]{12}$/, 'named after its content: a release does not take the functions of another');
});

t.test(
  'what one call learned does not reach the next: every variable of a part says what a call begins with',
  async (t) => {
    for (const file of parts) {
      const source = codeOf(read(file));
      const begun =
        file === 'lib/show.lua'
          ? source.slice(source.indexOf('function begin('))
          : [...source.matchAll(/each_call\(function\(\)(.*?)end\)\n/gs)].join('\n');
      for (const [, names = '', value] of source.matchAll(/^local ([a-z_]+(?:, [a-z_]+)*)(?: = (.*))?$/gm)) {
        t.notOk(value, `${file}: local ${names} = ${value}: only constants are set while the library is loaded`);
        for (const variable of names.split(', '))
          t.match(
            begun,
            new RegExp(`\\b${variable}\\b(?:, [\\w, ]+)? =|, ${variable}(?:, [\\w, ]+)? =`),
            `${file}: ${variable}`,
          );
      }
    }
  },
);

t.test('scripts that only read say so, and the others do not', async (t) => {
  const WRITES = /call\('(?:HSET|HDEL|HINCRBY|ZADD|ZREM|XADD|UNLINK|DEL|RENAME|SPUBLISH|SET)'|\bcommit\(\)/;
  for (const file of scripts) t.equal(read(file).includes('no-writes'), !WRITES.test(codeOf(read(file))), file);
});
