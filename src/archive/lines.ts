/** Gzip JSON Lines: written to the disk, and read back with the hash of the file. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline, Readable, Writable } from 'node:stream';
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

/** Yields the bytes of a file, and notes their number and hash. */
async function* chunksOf(path: string, found: { bytes: number; readonly hash: Hash }): AsyncGenerator<Buffer> {
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    found.hash.update(chunk);
    found.bytes += chunk.length;
    yield chunk;
  }
}

/** Reads a file back, and returns its hash. Rejects if it cannot be unpacked. */
export async function hashFile(path: string): Promise<string> {
  const found = { bytes: 0, hash: createHash('sha256') };
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  await pipelineDone(Readable.from(chunksOf(path, found)), createGunzip({ chunkSize: CHUNK_BYTES }), nowhere);
  return found.hash.digest('hex');
}

/** Yields the lines of a file, some at a time. `onEnd` receives what was read. */
export async function* linesOf(
  path: string,
  onEnd: (found: FileEntry) => void = () => {},
  charsMax = LINE_CHARS_MAX,
): AsyncGenerator<string[]> {
  const found = { bytes: 0, hash: createHash('sha256') };
  let rows = 0;
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES }).setEncoding('utf8');
  // An error of the source ends the loop below.
  pipeline(Readable.from(chunksOf(path, found)), gunzip, () => {});
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
  onEnd({ rows, bytes: found.bytes, sha256: found.hash.digest('hex') });
}
