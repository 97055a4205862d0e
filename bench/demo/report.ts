/** What the demo prints while it runs and when it ends. */
import type { SkuBooks } from '../../src/domain/sale.ts';
import type { UserCounters } from '../users/counters.ts';
import { endsById } from '../verdict/grants.ts';
import type { DemoOptions } from './options.ts';
import type { DemoShow, Outcome } from './show.ts';
import type { DemoUsers } from './users.ts';

type Books = Pick<SkuBooks, 'allocated' | 'sold' | 'held' | 'available'>;

/** Of more sales only the totals are printed. */
const SALES_IN_FULL_MAX = 3;
const TTY_DRAWS_PER_SECOND = 2;
const PLAIN_EVERY_MS = 5_000;
/** For terminals that do not report their width. */
const COLUMNS_UNKNOWN = 120;

/** Overwrites a line on a terminal, prints it every few seconds elsewhere. Returns how to end. */
export function showStatus(out: NodeJS.WriteStream, text: () => string): () => void {
  const draw = (): void => {
    const columns = out.columns || COLUMNS_UNKNOWN;
    out.write(out.isTTY ? `\r\x1b[2K${text().slice(0, columns - 1)}` : `${text()}\n`);
  };
  const timer = setInterval(draw, out.isTTY ? 1000 / TTY_DRAWS_PER_SECOND : PLAIN_EVERY_MS);
  return () => {
    clearInterval(timer);
    if (out.isTTY) out.write('\r\x1b[2K');
  };
}

export function statusText(show: DemoShow): string {
  const { counters, openConnections } = show.users;
  const { sent, delivered, outcomes, violationCount } = counters;
  const seconds = Math.floor((performance.now() - show.startedAt) / 1000);
  const clock = `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
  const refused = [...counters.refusals.values()].reduce((sum, count) => sum + count, 0);
  return [
    clock,
    saleText(show),
    `${openConnections} watching`,
    `chat ${count(sent.chat)} sent, ${count(delivered.chat)} delivered, p99 ${milliseconds(counters.latencyMs(99))}`,
    `accepted ${outcomes.accepted}, orders ${outcomes.confirmed}, refused ${count(refused)}`,
    ...(violationCount > 0 ? [`VIOLATIONS ${violationCount}`] : []),
  ].join(' | ');
}

/** The newest sale as any connected viewer sees it. */
function saleText(show: DemoShow): string {
  const client = show.users.connected.find((user) => user.client.status.at === 'open')?.client;
  const sale = [...(client?.model.sales.values() ?? [])].sort((a, b) => (b.opensAt ?? 0) - (a.opensAt ?? 0))[0];
  if (client === undefined || sale === undefined) return 'no viewer yet';
  const countdown = client.countdown(sale.id);
  if (countdown?.to === 'open') return `${sale.id} opens in ${(countdown.remainingMs / 1000).toFixed(0)} s`;
  return `${sale.id} ${sale.state}, ${sale.skus.reduce((sum, sku) => sum + sku.left, 0)} free`;
}

/** Returns everything that makes the run fail: what users saw, the books, and their differences. */
export function violationsOf({ checks, behind, headOffset }: Outcome, counters: UserCounters): string[] {
  const { violations, violationCount, connections } = counters;
  const wrong = [...violations];
  if (violationCount > wrong.length) wrong.push(`... and ${violationCount - wrong.length} more`);
  if (connections.gaps > 0) wrong.push(`${connections.gaps} gaps in the numbered events of an open connection`);
  if (behind > 0) wrong.push(`${behind} connected viewers have not reached the newest event`);
  if (headOffset === null) wrong.push('a new viewer got no welcome at the end');
  return [...wrong, ...checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`)];
}

export function summary(outcome: Outcome, users: DemoUsers, { viewers, trace }: DemoOptions, wrong: readonly string[]) {
  const { counters, replayed } = users;
  const { delivered, sent, outcomes, connections } = counters;
  const total = delivered.chat + delivered.events + delivered.state + delivered.personal;
  const replay = `${count(replayed)} of ${count(trace?.messages.length ?? 0)} recorded messages replayed`;
  const chat = trace === null ? `${count(sent.chat)} sent` : replay;
  const percentile = (p: number): string => milliseconds(counters.latencyMs(p));
  const expired = [...endsById(outcome.evidence.ends).values()].filter(({ state }) => state === 'expired').length;
  const refusals = [...counters.refusals].sort((a, b) => b[1] - a[1]).map(([code, times]) => `${code} ${count(times)}`);
  const rows = {
    'messages delivered':
      `${count(total)} (chat ${count(delivered.chat)}, events ${count(delivered.events)}, ` +
      `state ${count(delivered.state)}, personal ${count(delivered.personal)}) in ${count(delivered.frames)} frames`,
    chat:
      `${chat}, ${count(sent.chatRefused)} refused, ${count(delivered.missed)} left out and announced, ` +
      `${count(sent.hearts)} hearts`,
    delivery:
      `p50 ${percentile(50)}, p99 ${percentile(99)}, max ${percentile(100)} ` +
      `(${count(counters.latencySamples)} samples, send to receipt)`,
    connections:
      `${count(connections.connects)}, reconnects ${connections.reconnects}, resumed ${connections.resumes}, ` +
      `snapshots ${connections.snapshots}`,
    events: `${outcome.headOffset ?? '?'} in the log, gaps ${connections.gaps}, viewers behind ${outcome.behind}`,
    reservations:
      `${count(sent.reserves)} requested, ${outcomes.accepted} accepted, ` +
      `${outcomes.replayed} replayed for a repeated key, ${outcomes.unknown} unknown`,
    orders: `${outcomes.confirmed} confirmed over HTTP, ${sent.releases} holds released, ${expired} expired`,
    refused: refusals.length === 0 ? 'nothing' : refusals.join(', '),
  };
  return [
    '',
    `Summary of ${outcome.show}: ${viewers} viewers, ${outcome.seconds.toFixed(0)} s`,
    ...Object.entries(rows).map(([title, text]) => `  ${title.padEnd(20)} ${text}`),
    ...booksRows(outcome),
    `  ${'violations'.padEnd(20)} ${wrong.length}`,
    ...wrong.map((text) => `    - ${text}`),
  ].join('\n');
}

function booksRows({ verification }: Outcome): string[] {
  if (verification === null) return [];
  const isInFull = verification.sales.length <= SALES_IN_FULL_MAX;
  const columns = ['allocated', 'sold', 'held', 'free'].map((word) => word.padStart(9)).join('');
  return verification.sales.flatMap(({ id, skus }) => {
    const sum = (column: keyof Books): number => skus.reduce((units, books) => units + books[column], 0);
    const total = { allocated: sum('allocated'), sold: sum('sold'), held: sum('held'), available: sum('available') };
    return [
      `  ${`units of ${id}`.padEnd(20)} ${columns}`,
      ...(isInFull ? skus.map((books) => booksRow(books.sku, books)) : []),
      booksRow('total', total),
    ];
  });
}

const booksRow = (name: string, { allocated, sold, held, available }: Books): string =>
  `    ${name.padEnd(18)} ${[allocated, sold, held, available].map((units) => count(units).padStart(9)).join('')}`;

const count = (n: number): string => n.toLocaleString('en-US');
const milliseconds = (ms: number | null): string =>
  ms === null ? '-' : `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
