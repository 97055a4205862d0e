/**
 * The writing rules that a program can check: words to replace, and widths. Prints the violations
 * in files and folders: `node --import=tsx test/project/words.ts src/gateway README.md`.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../support/root.ts';

const CODE_COLUMNS_MAX = 120;
const PROSE_COLUMNS_MAX = 100;
const CHECKED =
  /\.(?:tsx?|mjs|js|lua|md|html|css|sh)$|^src\/web\/shared\/locales\/en\.json$|^scripts\/(?:demo|test|release)$|^\.ci\/run$|^Dockerfile$|\.ya?ml$/;
/** This file and CONTRIBUTING.md name the words to avoid. Results and fixtures are data. */
const EXEMPT = /^test\/project\/words|^CONTRIBUTING\.md$|^bench\/results\/|^test\/fixtures\/|package-lock/;

/** A word that this project does not use, and what to write instead. */
const REPLACEMENTS: ReadonlyArray<readonly [pattern: RegExp, instead: string]> = [
  [/\banswer(?:s|ed|ing)?\b/i, 'returns, replies, responds; reply, response, result'],
  [/\b(?:un)?told\b|\btells?\b|\btelling\b/i, 'notified, sent, reported, shows'],
  [/\b(?:no|some|any|every)body\b|\bwho(?:m)?ever\b/i, 'the named actor'],
  [/\bwhatever\b/i, 'any'],
  [/\banew\b/i, 'again'],
  [/\bmend(?:s|ed|ing)?\b/i, 'fix'],
  [/\bof (?:its|their|his|her|our|my|your) own\b/i, 'separate, dedicated'],
  [/\bin turns\b/i, 'alternating'],
  [/\ba moment ago\b/i, 'recently'],
  [/\bcomes? and goes?\b/i, 'connects and disconnects'],
  [/\bstands?\b(?!alone)/i, 'is'],
  [/\bdoors?\b/i, 'API, entry point'],
  [/\bhouse\b/i, 'project structure'],
  [/\bnews\b/i, 'update, message'],
  [/\bthe like\b|\bof the kind\b/i, 'name it'],
  [/\bbeforehand\b|\bthereby\b|\btherein\b/i, '(drop)'],
  [/\bprolong(?:s|ed|ing)?\b/i, 'extend'],
  [/\blapse(?:s|d)?\b|\blapsing\b/i, 'expire, end'],
  [/\bseats?\b|\bcurtains?\b|\bwitness(?:es)?\b|\bnights?\b|\bcrowds?\b/i, 'the standard term'],
  [/\bdoubt(?:s|ed|ful)?\b|\bunlearned\b/i, 'stale, refetch'],
];

/** Names on the wire, in the API or in other products; they stay. */
const ALLOWED: readonly RegExp[] = [
  /'prolong'|`prolong\|/g, // the kind of a ledger entry and the body of its command, as stored
  /:answer:/g, // part of a Redis key
  /\buser nobody\b|'nobody'/g, // the unprivileged user of Unix systems
];

export interface Violation {
  readonly where: string;
  readonly text: string;
}

const wordsOf = (line: string): string => line.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/_/g, ' ');

function isProse(file: string, line: string): boolean {
  if (file.endsWith('.md')) return true;
  if (file.endsWith('.lua')) return /^\s*--/.test(line);
  return /^\s*(?:\/\/|\/?\*)/.test(line);
}

/** Tables, code blocks, links and diagrams of Markdown may be wider. */
function isWide(file: string, line: string, isFenced: boolean): boolean {
  return (file.endsWith('.md') && (isFenced || /^\s*(?:\||<|!\[)/.test(line))) || /https?:\/\/\S{60,}/.test(line);
}

export function violationsOf(file: string, text: string): Violation[] {
  const found: Violation[] = [];
  let isFenced = false;
  for (const [index, line] of text.split('\n').entries()) {
    const where = `${file}:${index + 1}`;
    if (/^\s*```/.test(line)) isFenced = !isFenced;
    const columns = [...line].length;
    const max = isProse(file, line) ? PROSE_COLUMNS_MAX : CODE_COLUMNS_MAX;
    if (columns > max && !isWide(file, line, isFenced))
      found.push({ where, text: `${columns} columns (at most ${max})` });
    const words = wordsOf(ALLOWED.reduce((rest, allowed) => rest.replace(allowed, ''), line));
    for (const [pattern, instead] of REPLACEMENTS) {
      const hit = pattern.exec(words);
      if (hit) found.push({ where, text: `"${hit[0]}": write ${instead}` });
    }
  }
  return found;
}

/** Every checked file below `path`, relative to the repository. */
export function checkedFiles(path: string): string[] {
  const start = resolve(ROOT, path);
  const names = statSync(start).isDirectory()
    ? readdirSync(start, { recursive: true, encoding: 'utf8' }).map((name) => join(start, name))
    : [start];
  return names
    .map((name) => relative(ROOT, name))
    .filter((name) => CHECKED.test(name) && !EXEMPT.test(name) && statSync(join(ROOT, name)).isFile());
}

export function checkPaths(paths: readonly string[]): Violation[] {
  return paths.flatMap(checkedFiles).flatMap((file) => violationsOf(file, readFileSync(join(ROOT, file), 'utf8')));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = checkPaths(process.argv.slice(2));
  for (const { where, text } of found) console.log(`${where}: ${text}`);
  process.exitCode = found.length === 0 ? 0 : 1;
}
