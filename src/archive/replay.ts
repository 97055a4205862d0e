/** Reads an archive back: replays its ledger, and compares everything else with it. */
import { join } from 'node:path';
import type { ArchiveVerification, LedgerRow, RefundTotals, ShowTotals, UnreadableRow } from '../domain/archive.ts';
import { fileReason, NOT_READ } from '../domain/file-errors.ts';
import { compareBooks, LedgerReplay } from '../domain/ledger.ts';
import { isOrder, type OrderNotes } from '../domain/order.ts';
import type { SaleBooks } from '../domain/sale.ts';
import type { ReservationView, ShowEvent } from '../protocol/messages.ts';
import { type FileEntry, readLines } from './lines.ts';
import { FILE_NAMES, FILES, type FileName, readManifest } from './manifest.ts';

export type Numbers = Pick<ShowTotals, 'peakViewers' | 'uniqueViewers' | 'hearts' | 'chatMessages'>;
export type SummaryRow =
  | { kind: 'show'; numbers: Numbers }
  | { kind: 'product' }
  | { kind: 'sale'; sale: SaleBooks }
  | ({ kind: 'unreadable' } & UnreadableRow);

export interface Replayed {
  readonly replay: LedgerReplay;
  readonly totals: ShowTotals;
  readonly sales: SaleBooks[];
  readonly files: Record<FileName, FileEntry>;
}

type Fields = Partial<Record<string, unknown>>;
/** What a row of each file must have to be replayed. What it says is checked after that. */
const IS_ROW: Record<FileName, (row: Fields) => boolean> = {
  ledger: ({ at, entries }) => typeof at === 'string' && Array.isArray(entries),
  orders: ({ id, lines }) => typeof id === 'string' && Array.isArray(lines) && lines.every(isObject),
  events: ({ offset }) => typeof offset === 'number',
  summary: ({ kind, numbers, sale }) =>
    (kind === 'show' && isObject(numbers)) || kind === 'product' || (kind === 'sale' && isSale(sale)),
};
const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isSale = (value: unknown): boolean =>
  isObject(value) && typeof value.id === 'string' && Array.isArray(value.skus) && value.skus.every(isObject);

const isUnreadable = (row: object): row is UnreadableRow => 'raw' in row;

/** What the ledger says of an order. */
type Confirmed = { readonly orderRef: string; readonly amount: unknown; isRestocked?: boolean };

/** Returns why an order differs from the ledger, or null. */
function orderProblem(
  order: ReservationView & OrderNotes,
  replay: LedgerReplay,
  confirmed: Map<string, Confirmed>,
): string | null {
  const replayed = replay.reservations.get(order.id);
  const paid = confirmed.get(order.id);
  if (replayed === undefined || !isOrder(replayed) || paid === undefined) return `the ledger has no order ${order.id}`;
  const isSame =
    order.state === replayed.state &&
    order.restocked === paid.isRestocked &&
    replayed.user === order.user &&
    replayed.sale === order.sale &&
    replayed.items.length === order.lines.length &&
    replayed.items.every(([sku, qty], i) => order.lines[i]?.sku === sku && order.lines[i]?.qty === qty) &&
    paid.amount === order.amount &&
    paid.orderRef === (order.orderRef ?? '');
  return isSame ? null : `order ${order.id} differs from the ledger`;
}

/** Throws if a file cannot be read. What is wrong with the books is in `replay.violations`. */
export async function replayFiles(folder: string): Promise<Replayed> {
  const replay = new LedgerReplay();
  const confirmed = new Map<string, Confirmed>();
  const entries = {} as Record<FileName, FileEntry>;
  const read = async (name: FileName, onRow: (row: never) => void): Promise<void> => {
    let line = 0;
    const onLine = (row: unknown): void => {
      line += 1;
      const isRow = isObject(row) && ('raw' in row ? typeof row.at === 'string' : IS_ROW[name](row));
      if (!isRow) throw new Error(`line ${line} is no row of this file`);
      onRow(row as never);
    };
    entries[name] = await readLines(join(folder, FILES[name]), onLine).catch((cause: Error) => {
      throw new Error(`${FILES[name]} cannot be read: ${fileReason(cause, NOT_READ)}`, { cause });
    });
  };

  await read('ledger', (row: LedgerRow) => {
    if (isUnreadable(row)) return replay.cannotRead(row.at);
    try {
      for (const entry of row.entries) {
        replay.apply(entry, row.at);
        const [kind, , id, , , , reason, , extra] = entry;
        if (kind === 'confirm' && id) confirmed.set(id, { orderRef: reason, amount: extra?.amount });
        const refunded = kind === 'refund' && id ? confirmed.get(id) : undefined;
        if (refunded !== undefined) refunded.isRestocked = reason === 'restocked';
      }
    } catch {
      // Bytes that can be decoded are not always an entry.
      replay.cannotRead(row.at);
    }
  });

  const seen = new Set<string>();
  const buyers = new Set<string>();
  const revenue: Record<string, number> = {};
  const refunds: RefundTotals = { orders: 0, units: 0, amount: {} };
  let unitsSold = 0;
  await read('orders', (order: (ReservationView & OrderNotes) | UnreadableRow) => {
    if (isUnreadable(order)) return replay.violate(`the record of reservation ${order.at} cannot be read`);
    if (seen.has(order.id)) return replay.violate(`order ${order.id} is listed twice`);
    seen.add(order.id);
    buyers.add(order.user);
    const units = order.lines.reduce((sum, { qty }) => sum + qty, 0);
    revenue[order.currency] = (revenue[order.currency] ?? 0) + order.amount;
    unitsSold += units;
    if (order.state === 'refunded') {
      refunds.orders += 1;
      refunds.units += units;
      refunds.amount[order.currency] = (refunds.amount[order.currency] ?? 0) + order.amount;
    }
    const problem = orderProblem(order, replay, confirmed);
    if (problem !== null) replay.violate(problem);
  });
  for (const id of confirmed.keys()) if (!seen.has(id)) replay.violate(`order ${id} is missing`);

  let first: number | null = null;
  let events = 0;
  await read('events', (event: ShowEvent | UnreadableRow) => {
    // The log is trimmed at its start, and has no gap.
    const offset = isUnreadable(event) ? Number.parseInt(event.at, 10) : event.offset;
    first ??= offset;
    if (isUnreadable(event)) replay.violate(`event ${offset} cannot be read`);
    else if (offset !== first + events) replay.violate(`event ${first + events} is missing before ${offset}`);
    events += 1;
  });

  const sales: SaleBooks[] = [];
  let numbers: Numbers = { peakViewers: 0, uniqueViewers: 0, hearts: 0, chatMessages: 0 };
  await read('summary', (row: SummaryRow) => {
    if (row.kind === 'show') numbers = row.numbers;
    if (row.kind === 'sale') sales.push(row.sale);
    if (row.kind === 'unreadable') replay.violate(`the record of ${row.at} cannot be read`);
  });
  for (const problem of compareBooks(replay, sales)) replay.violate(problem);

  const totals: ShowTotals = {
    ...{ entries: replay.entries, events, reservations: replay.reservations.size, orders: seen.size },
    ...{ buyers: buyers.size, unitsSold, revenue, refusals: replay.refusals, localRefusals: replay.localRefusals },
    ...numbers,
    ...(refunds.orders > 0 ? { refunds } : {}),
  };
  return { replay, totals, sales, files: entries };
}

/** Returns how the files differ from their entries in the manifest. */
export function fileProblems(listed: Record<FileName, FileEntry>, found: Record<FileName, FileEntry>): string[] {
  return FILE_NAMES.flatMap((name) =>
    (['rows', 'bytes', 'sha256'] as const)
      .filter((field) => listed[name][field] !== found[name][field])
      .map((field) => `${FILES[name]}: ${field} ${found[name][field]}, by the manifest ${listed[name][field]}`),
  );
}

/** Proves an archive without Redis. Throws why it cannot be read. */
export async function verifyArchive(folder: string): Promise<ArchiveVerification> {
  const { manifest, sha256 } = await readManifest(folder);
  const { replay, totals, sales, files } = await replayFiles(folder);
  const { entries, reservations, refusals, localRefusals } = replay;
  const problems = fileProblems(manifest.files, files);
  for (const name of Object.keys({ ...manifest.totals, ...totals }) as Array<keyof ShowTotals>)
    if (JSON.stringify(totals[name]) !== JSON.stringify(manifest.totals[name]))
      problems.push(`totals: ${name} is ${JSON.stringify(totals[name])}, by the manifest another value`);
  return {
    show: manifest.show,
    sha256,
    ...{
      entries,
      reservations: reservations.size,
      refusals,
      localRefusals,
      orders: totals.orders,
      events: totals.events,
    },
    sales: sales.map(({ id, skus }) => ({ id, skus })),
    ...(manifest.erasedAt === undefined ? {} : { erasedAt: manifest.erasedAt }),
    violations: [...new Set([...problems, ...replay.violations, ...manifest.violations])],
  };
}
