/** Reads a CSV file a slice at a time, so that a large one delays no other request. */
import { pipeline, Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CsvError, parse } from 'csv-parse';
import { columnOf, type ImportRow } from '../../domain/product-import.ts';
import { refusal } from '../http/routing.ts';

const SLICE_CHARS = 64 * 1024;
const RECORD_CHARS_MAX = 256 * 1024;
const DELIMITERS = [',', ';', '\t', '|'];

/** Returns the delimiter that the first line has most often, outside of quotes. */
function delimiterOf(text: string): string {
  const [header = ''] = text.replaceAll(/"[^"]*"/g, '').split(/\r?\n/, 1);
  const counts = DELIMITERS.map((delimiter) => header.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))] ?? ',';
}

async function* slicesOf(text: string): AsyncGenerator<string> {
  for (let from = 0; from < text.length; from += SLICE_CHARS) {
    yield text.slice(from, from + SLICE_CHARS);
    await nextTurn();
  }
}

/** Throws `invalid_request` for a file that is no CSV. */
export async function* rowsOf(text: string): AsyncGenerator<ImportRow> {
  const parser = parse({
    ...{ bom: true, info: true, relax_column_count: true, skip_empty_lines: true, trim: true },
    ...{ delimiter: delimiterOf(text.slice(0, SLICE_CHARS)), max_record_size: RECORD_CHARS_MAX },
    columns: (header: string[]) => header.map(columnOf),
  });
  // An error of either ends the loop below.
  pipeline(Readable.from(slicesOf(text)), parser, () => {});
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: Record<string, string>;
      info: { lines: number };
    }>)
      yield { line: info.lines, cells: record };
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw refusal('invalid_request', `The body is no CSV file: ${error.message}`);
  }
}
