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

/** A longer line is not of an archive: it would fill the memory. */
const LINE_CHARS_MAX = 64 * 1024 * 1024;

/** Writes all rows, and returns when they are on the disk. Rejects with the error of `pages`. */
export async function writeLines<Row>(
  path: string,
  pages: AsyncIterable<readonly Row[]>,
  lineOf: (row: Row) => string = JSON.stringify,
): Promise<FileEntry> {
  const hash = createHash('sha256');
  let [rows, bytes] = [0, 0];
  async function* text(): AsyncGenerator<string> {
    for await (const page of pages) {
      rows += page.length;
      if (page.length > 0) yield page.map((row) => `${lineOf(row)}\n`).join('');
    }
  }
  async function* counted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  const file = createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true });
  await pipelineDone(text(), createGzip(), counted, file);
  return { rows, bytes, sha256: hash.digest('hex') };
}

/** Calls `onRow` for each row. Rejects if the file cannot be read, or a line is no JSON. */
export async function readLines(path: string, onRow: (row: unknown) => void): Promise<FileEntry> {
  let entry: FileEntry | null = null;
  for await (const lines of linesOf(path, (found) => {
    entry = found;
  }))
    for (const line of lines) onRow(JSON.parse(line));
  return entry as unknown as FileEntry;
}

/** Yields the lines of a file, some at a time. `onEnd` receives what was read. */
export async function* linesOf(path: string, onEnd: (found: FileEntry) => void = () => {}): AsyncGenerator<string[]> {
  const hash = createHash('sha256');
  let [rows, bytes, rest] = [0, 0, ''];
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  const gunzip = createGunzip().setEncoding('utf8');
  // An error of the source ends the loop below.
  pipeline(Readable.from(counted()), gunzip, () => {});
  for await (const chunk of gunzip as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LINE_CHARS_MAX) throw new Error(`line ${rows + 1} is too long`);
    rows += lines.length;
    yield lines;
  }
  if (rest !== '') {
    rows += 1;
    yield [rest];
  }
  onEnd({ rows, bytes, sha256: hash.digest('hex') });
}
