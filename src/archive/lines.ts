/** Gzip JSON Lines: written to the disk, and read back with the hash of the file. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline, Readable } from 'node:stream';
import { pipeline as pipelineDone } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';

export interface FileEntry {
  rows: number;
  bytes: number;
  /** Of the compressed file. */
  sha256: string;
}

/** Each chunk is one call of zlib in another thread; small ones cost more than the work. */
const CHUNK_BYTES = 256 * 1024;

/** A longer line is not of an archive: it would fill the memory. */
const LINE_CHARS_MAX = 64 * 1024 * 1024;

export interface WriteOptions {
  /** Returns the last row, given SHA-256 of all lines before. */
  readonly last?: (text: string) => unknown;
  /** Of gzip. */
  readonly level?: number;
}

/** Writes all rows, and returns when they are on the disk. Rejects with the error of `pages`. */
export async function writeLines<Row>(
  path: string,
  pages: AsyncIterable<readonly Row[]>,
  lineOf: (row: Row) => string = JSON.stringify,
  { last, level }: WriteOptions = {},
): Promise<FileEntry> {
  const hash = createHash('sha256');
  const all = createHash('sha256');
  let [rows, bytes] = [0, 0];
  async function* text(): AsyncGenerator<Buffer> {
    let waiting = '';
    const taken = (): Buffer => {
      const bytes = Buffer.from(waiting);
      waiting = '';
      if (last !== undefined) all.update(bytes);
      return bytes;
    };
    for await (const page of pages) {
      rows += page.length;
      for (const row of page) waiting += `${lineOf(row)}\n`;
      if (waiting.length >= CHUNK_BYTES) yield taken();
    }
    yield taken();
    if (last !== undefined) yield Buffer.from(`${JSON.stringify(last(all.digest('hex')))}\n`);
  }
  async function* counted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  const file = createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true });
  const gzip = createGzip({ chunkSize: CHUNK_BYTES, ...(level === undefined ? {} : { level }) });
  await pipelineDone(text(), gzip, counted, file);
  return { rows, bytes, sha256: hash.digest('hex') };
}

export interface ReadOptions {
  readonly isHashed?: boolean;
  readonly charsMax?: number;
}

/**
 * Calls `onRow` for each row, and waits for it. `text()`: SHA-256 of all lines before, if they are
 * hashed. Rejects if the file cannot be read, or a line is no JSON.
 */
export async function readLines(
  path: string,
  onRow: (row: unknown, text: () => string) => void | Promise<void>,
  { isHashed = false, charsMax }: ReadOptions = {},
): Promise<FileEntry> {
  let entry: FileEntry | null = null;
  const onEnd = (found: FileEntry): void => {
    entry = found;
  };
  const hash = createHash('sha256');
  const text = (): string => hash.copy().digest('hex');
  let number = 0;
  for await (const lines of linesOf(path, onEnd, charsMax))
    for (const line of lines) {
      number += 1;
      const done = onRow(rowOf(line, number), text);
      if (done !== undefined) await done;
      if (isHashed) hash.update(`${line}\n`);
    }
  return entry as unknown as FileEntry;
}

function rowOf(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new Error(`line ${number} is no JSON`, { cause });
  }
}

/** Reads a file back. `text`: SHA-256 of all lines but the last one. */
export async function hashLines(path: string): Promise<{ file: FileEntry; text: string }> {
  const hash = createHash('sha256');
  let file: FileEntry | null = null;
  let last: string[] = [];
  const onEnd = (found: FileEntry): void => {
    file = found;
  };
  for await (const lines of linesOf(path, onEnd)) {
    const before = [...last, ...lines.slice(0, -1)];
    last = lines.slice(-1);
    if (before.length > 0) hash.update(`${before.join('\n')}\n`);
  }
  return { file: file as unknown as FileEntry, text: hash.digest('hex') };
}

/** Yields the lines of a file, some at a time. `onEnd` receives what was read. */
export async function* linesOf(
  path: string,
  onEnd: (found: FileEntry) => void = () => {},
  charsMax = LINE_CHARS_MAX,
): AsyncGenerator<string[]> {
  const hash = createHash('sha256');
  let [rows, bytes] = [0, 0];
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES }).setEncoding('utf8');
  // An error of the source ends the loop below.
  pipeline(Readable.from(counted()), gunzip, () => {});
  // A long line is joined once, at its end.
  let [parts, chars] = [[] as string[], 0];
  for await (const chunk of gunzip as AsyncIterable<string>) {
    const [end = '', ...more] = chunk.split('\n');
    parts.push(end);
    chars += end.length;
    if (chars > charsMax) throw new Error(`line ${rows + 1} is too long`);
    const rest = more.pop();
    if (rest === undefined) continue;
    const lines = [parts.join(''), ...more];
    [parts, chars] = [[rest], rest.length];
    rows += lines.length;
    yield lines;
  }
  if (chars > 0) {
    rows += 1;
    yield [parts.join('')];
  }
  onEnd({ rows, bytes, sha256: hash.digest('hex') });
}
