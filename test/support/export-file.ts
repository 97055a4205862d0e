/** Exported shows as values, to change them. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';

export type Json = ReturnType<typeof JSON.parse>;
export type Row = [key: string, ...records: string[][]];
export interface ExportedRows {
  head: Json;
  rows: Row[];
  manifest: Json;
}

export function readExportFile(path: string): ExportedRows {
  const [head, ...rows] = gunzipSync(readFileSync(path))
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { head, manifest: rows.pop(), rows };
}

/** Writes a file with the counts and the hash of its content. */
export function writeExportFile(path: string, { head, rows, manifest }: ExportedRows): void {
  const records = new Map<string, number>();
  for (const [key, ...of] of rows) records.set(key, (records.get(key) ?? 0) + of.length);
  const text = [head, ...rows].map((row) => `${JSON.stringify(row)}\n`).join('');
  const sha256 = createHash('sha256').update(text).digest('hex');
  const last = { ...manifest, records: Object.fromEntries(records), sha256 };
  writeFileSync(path, gzipSync(`${text}${JSON.stringify(last)}\n`, { level: 1 }));
}
