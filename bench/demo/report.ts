/** What is said while the demo runs and when it ends. */

import type { SkuBooks } from '../../src/domain/sale.ts';
import { type Tally, unitsOf } from '../users/counters.ts';
import type { DemoOptions } from './options.ts';
import type { DemoShow, Outcome } from './show.ts';

type Books = Pick<SkuBooks, 'allocated' | 'sold' | 'held' | 'available'>;

/** After a long evening only the totals of each sale are told. */
const SALES_IN_FULL_MAX = 3;
const FRAMES_A_SECOND_TTY = 2;
const PLAIN_EVERY_MS = 5_000;
/** Some terminals do not say how wide they are. */
const COLUMNS_UNKNOWN = 120;

/** One line that is written over on a terminal; elsewhere a plain line every few seconds. */
export class StatusLine {
  readonly #out: NodeJS.WriteStream;
  readonly #timer: NodeJS.Timeout;
  readonly #text: () => string;

  constructor(out: NodeJS.WriteStream, text: () => string) {
    this.#out = out;
    this.#text = text;
    this.#timer = setInterval(() => this.#draw(), out.isTTY ? 1000 / FRAMES_A_SECOND_TTY : PLAIN_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    if (this.#out.isTTY) this.#out.write('\r\x1b[2K');
  }

  #draw(): void {
    const text = this.#text();
    this.#out.write(
      this.#out.isTTY ? `\r\x1b[2K${text.slice(0, (this.#out.columns || COLUMNS_UNKNOWN) - 1)}` : `${text}\n`,
    );
  }
}

export function statusText(show: DemoShow): string {
  const { tally } = show.crowd;
  const seconds = Math.floor((performance.now() - show.startedAt) / 1000);
  const clock = `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
  const refused = [...tally.refusals.values()].reduce((sum, count) => sum + count, 0);
  return [
    clock,
    saleText(show),
    `${show.crowd.connected} watching`,
    `chat ${count(tally.sent.chat)} said, ${count(tally.delivered.chat)} delivered, p99 ${milliseconds(tally.latencyMs(99))}`,
    `accepted ${tally.outcomes.accepted}, orders ${tally.outcomes.confirmed}, refused ${count(refused)}`,
    ...(tally.violationCount > 0 ? [`VIOLATIONS ${tally.violationCount}`] : []),
  ].join(' | ');
}

/** The sale as any connected viewer sees it. */
function saleText(show: DemoShow): string {
  const client = show.crowd.people.find((person) => person.client.status.at === 'open')?.client;
  const sale = [...(client?.model.sales.values() ?? [])].sort((a, b) => (b.opensAt ?? 0) - (a.opensAt ?? 0))[0];
  if (client === undefined || sale === undefined) return 'nobody here yet';
  const countdown = client.countdown(sale.id);
  if (countdown?.to === 'open') return `${sale.id} opens in ${(countdown.remainingMs / 1000).toFixed(0)} s`;
  const left = sale.skus.reduce((sum, sku) => sum + sku.left, 0);
  return `${sale.id} ${sale.state}, ${left} free`;
}

/**
 * The mistakes that make the run a failure: those of the books, and what clients saw against the
 * books.
 */
export function judge(outcome: Outcome, tally: Tally): string[] {
  const wrong = [...tally.violations];
  if (tally.violationCount > wrong.length) wrong.push(`... and ${tally.violationCount - wrong.length} more`);
  if (tally.line.gaps > 0) wrong.push(`${tally.line.gaps} gaps in the numbered events of a standing connection`);
  if (outcome.behind > 0) wrong.push(`${outcome.behind} connected viewers do not stand at the newest event`);
  if (outcome.headOffset === null) wrong.push('a fresh viewer got no welcome at the end');
  if (outcome.verification === null) return wrong;
  wrong.push(...outcome.verification.violations.map((violation) => `books: ${violation}`));
  wrong.push(...clientsAgainstBooks(outcome, tally));
  return wrong;
}

function clientsAgainstBooks({ verification }: Outcome, tally: Tally): string[] {
  const wrong: string[] = [];
  if (verification === null) return wrong;
  const seen = [...tally.reservations.values()];
  if (seen.length > verification.reservations)
    wrong.push(`clients were told of ${seen.length} reservations, the ledger knows ${verification.reservations}`);
  // Somebody on the viewer page may have bought too; what clients know must then be a part of the
  // books, else all of them.
  const all = seen.length === verification.reservations;
  for (const sale of verification.sales) {
    for (const books of sale.skus) {
      const sold = seen
        .filter((one) => one.sale === sale.id && one.state === 'confirmed')
        .reduce((sum, one) => sum + unitsOfSku(one, books.sku), 0);
      if (sold > books.sold || (all && sold !== books.sold))
        wrong.push(`${sale.id}/${books.sku}: clients know of ${sold} sold units, the books of ${books.sold}`);
    }
  }
  return wrong;
}

const unitsOfSku = (reservation: Parameters<typeof unitsOf>[0], sku: string): number =>
  unitsOf({ ...reservation, lines: reservation.lines.filter((line) => line.sku === sku) });

/** The summary, as printed at the end. */
export function summary(
  outcome: Outcome,
  tally: Tally,
  options: DemoOptions,
  traceSent: number,
  wrong: readonly string[],
): string {
  const { delivered, sent, outcomes, line } = tally;
  const total = delivered.chat + delivered.events + delivered.state + delivered.personal;
  const chat =
    options.trace === null
      ? `${count(sent.chat)} said`
      : `${count(traceSent)} of ${count(options.trace.messages.length)} recorded messages replayed`;
  const lines = [
    '',
    `Summary of ${outcome.show}: ${options.viewers} viewers, ${outcome.seconds.toFixed(0)} s`,
    `  messages delivered   ${count(total)} (chat ${count(delivered.chat)}, events ${count(delivered.events)}, state ${count(delivered.state)}, personal ${count(delivered.personal)}) in ${count(delivered.frames)} frames`,
    `  chat                 ${chat}, ${count(sent.chatRefused)} refused, ${count(delivered.missed)} left out and told so, ${count(sent.hearts)} hearts`,
    `  delivery             p50 ${milliseconds(tally.latencyMs(50))}, p99 ${milliseconds(tally.latencyMs(99))}, max ${milliseconds(tally.latencyMs(100))} (${count(tally.latencySamples)} samples, send to receipt)`,
    `  connections          ${count(line.connects)}, reconnects ${line.reconnects}, resumed ${line.resumes}, snapshots ${line.snapshots}`,
    `  events               ${outcome.headOffset ?? '?'} in the log, gaps ${line.gaps}, viewers behind ${outcome.behind}`,
    `  reservations         ${count(sent.reserves)} asked, ${outcomes.accepted} accepted, ${outcomes.replayed} answered again for a repeated key, ${outcomes.unknown} unknown`,
    `  orders               ${outcomes.confirmed} confirmed over HTTP, ${sent.releases} holds given back, ${lapsed(tally)} lapsed`,
    ...refusalLines(tally),
    ...booksLines(outcome),
    `  violations           ${wrong.length}`,
    ...wrong.map((text) => `    - ${text}`),
  ];
  return lines.join('\n');
}

function refusalLines(tally: Tally): string[] {
  const refusals = [...tally.refusals].sort((a, b) => b[1] - a[1]).map(([code, times]) => `${code} ${count(times)}`);
  return [`  refused              ${refusals.length === 0 ? 'nothing' : refusals.join(', ')}`];
}

function booksLines({ verification }: Outcome): string[] {
  if (verification === null) return [];
  const inFull = verification.sales.length <= SALES_IN_FULL_MAX;
  return verification.sales.flatMap((sale) => [
    `  ${`units of ${sale.id}`.padEnd(20)} ${['allocated', 'sold', 'held', 'free'].map((word) => word.padStart(9)).join('')}`,
    ...(inFull ? sale.skus.map((books) => booksLine(books.sku, books)) : []),
    booksLine('total', totalOf(sale.skus)),
  ]);
}

function totalOf(skus: readonly SkuBooks[]): Books {
  const sum = (column: keyof Books): number => skus.reduce((units, books) => units + books[column], 0);
  return { allocated: sum('allocated'), sold: sum('sold'), held: sum('held'), available: sum('available') };
}

const booksLine = (name: string, books: Books): string =>
  `    ${name.padEnd(18)} ${[books.allocated, books.sold, books.held, books.available].map((n) => count(n).padStart(9)).join('')}`;

const lapsed = (tally: Tally): number =>
  [...tally.reservations.values()].filter((one) => one.state === 'expired').length;
const count = (n: number): string => n.toLocaleString('en-US');
const milliseconds = (ms: number | null): string =>
  ms === null ? '-' : `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
