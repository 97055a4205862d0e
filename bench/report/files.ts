/** Results on disk: written atomically, and validated when read. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Value } from 'typebox/value';
import { renderHtml } from './html.ts';
import { type BenchResult, RESULT_SCHEMA, resultSchema } from './result.ts';

export const RESULT_BYTES_MAX = 256 * 2 ** 20;
const MISTAKES_NAMED_MAX = 5;
const SAME_MOMENT_MAX = 1_000;

/** The message names the file and what is wrong with it. */
export class ResultFileError extends Error {
  override readonly name = 'ResultFileError';
  readonly code: string;

  constructor(code: string, path: string, message: string, cause?: unknown) {
    super(`${path}: ${message}`, { cause });
    this.code = code;
  }
}

/**
 * Writes `<scenario>-<time>.json` and `.html` into `folder`, which is created if necessary. The
 * JSON is written before validation, so that a long run with one invalid number keeps its file.
 * Throws `ResultFileError` that names the invalid field.
 */
export function writeResult(result: BenchResult, folder: string): { readonly json: string; readonly html: string } {
  const text = serialize(result);
  const json = writeUnderFreeName(text, result, folder);
  parseResult(text, json);
  const html = json.replace(/json$/, 'html');
  const page = renderHtml(result, { json: basename(json) });
  writing(html, (part) => {
    writeFileSync(part, page, { flush: true });
    renameSync(part, html);
  });
  return { json, html };
}

/** Throws `ResultFileError`. */
export function readResult(path: string): BenchResult {
  let text: string;
  try {
    if (statSync(path).size > RESULT_BYTES_MAX)
      throw new ResultFileError('too_large', path, `larger than ${RESULT_BYTES_MAX / 2 ** 20} MiB`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof ResultFileError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw new ResultFileError('not_found', path, 'no such file', error);
    const why = code === 'EISDIR' ? 'is a folder, not a result' : `cannot be read (${code ?? error})`;
    throw new ResultFileError('not_readable', path, why, error);
  }
  return parseResult(text, path);
}

/** `path` is used in messages only. Throws `ResultFileError`. */
export function parseResult(text: string, path: string): BenchResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ResultFileError('not_json', path, `not JSON (${(error as Error).message})`, error);
  }
  if (typeof value !== 'object' || value === null || !('schema' in value))
    throw new ResultFileError('not_a_result', path, 'JSON, but not a bench result: it has no "schema"');
  if (value.schema !== RESULT_SCHEMA) {
    const schema = JSON.stringify(value.schema)?.slice(0, 60);
    throw new ResultFileError('other_schema', path, `written as ${schema}; this version reads "${RESULT_SCHEMA}"`);
  }
  if (!Value.Check(resultSchema, value)) throw new ResultFileError('invalid_fields', path, mistakes(value));
  if (Number.isNaN(Date.parse(value.startedAt)))
    throw new ResultFileError('invalid_fields', path, '/startedAt is not a time (ISO 8601)');
  return value as BenchResult;
}

function mistakes(value: unknown): string {
  const errors = Value.Errors(resultSchema, value).map((error) => `${error.instancePath || '/'} ${error.message}`);
  const named = [...new Set(errors)];
  const rest = named.length - MISTAKES_NAMED_MAX;
  return `${named.slice(0, MISTAKES_NAMED_MAX).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
}

/** One line per field: suits grep and diff, without a line for every point. */
function serialize(result: BenchResult): string {
  const entries = Object.entries(result).filter(([, value]) => value !== undefined);
  const lines = entries.map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

/** A hard link fails if the name exists, so runs that end in the same second get two names. */
function writeUnderFreeName(text: string, { scenario, startedAt }: BenchResult, folder: string): string {
  const slug = scenario.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, 60) || 'result';
  const base = join(folder, `${slug}-${startedAt.replace(/\.\d+/, '').replace(/[^0-9TZ]+/g, '')}`);
  return writing(`${base}.json`, (part) => {
    writeFileSync(part, text, { flush: true });
    for (let nth = 1; nth <= SAME_MOMENT_MAX; nth++) {
      const path = `${base}${nth === 1 ? '' : `-${nth}`}.json`;
      if (link(part, path)) return path;
    }
    throw new Error(`the folder holds ${SAME_MOMENT_MAX} results of this second`);
  });
}

function link(part: string, path: string): boolean {
  try {
    linkSync(part, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Runs `work` with the name of a temporary file beside `path`, then removes the file. */
function writing<T>(path: string, work: (part: string) => T): T {
  const part = `${path}.${process.pid}.part`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    return work(part);
  } catch (error) {
    throw new ResultFileError('not_writable', path, `cannot be written (${(error as Error).message})`, error);
  } finally {
    // Ignores errors: the one before is reported.
    try {
      rmSync(part, { force: true });
    } catch {}
  }
}
