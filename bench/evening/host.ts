/**
 * The host's side of a night: a show with something to sell, people who can be given orders, a
 * payment desk, and the verdict when it is over.
 */

import type { Fleet, LoadHandle } from '../generator/contract.ts';
import type { Check } from '../report/result.ts';
import type { CommonFlags } from '../scenarios/common-flags.ts';
import { openRoom } from '../scenarios/room.ts';
import type { Target } from '../scenarios/target.ts';
import type { BackOffice } from '../users/back-office.ts';
import { readBooks } from '../verdict/books.ts';
import { checkOf } from '../verdict/check.ts';
import { checkLines, checkSales, checkZeros } from '../verdict/checks.ts';
import { addEvidence, type Evidence, NOTHING_SEEN } from '../verdict/evidence.ts';
import { Checkout } from './checkout.ts';
import type { EveningCommand, EveningParams, EveningSummary, Granted, Press, Rush } from './commands.ts';

export interface EveningRunOptions {
  readonly label: string;
  readonly people: number;
  readonly clocks: boolean;
  /** Shares of the payment desk; nobody pays unless given. */
  readonly pays?: number;
  readonly payWithinMs?: number;
  /** Every so many-th person measures chat delivery. */
  readonly measureEvery?: number;
}

export interface SaleOptions extends Omit<Press, 'do' | 'sale' | 'skus' | 'opensAt'> {
  readonly units: number;
  readonly opensInMs: number;
  readonly durationMs: number;
  readonly holdMs: number;
}

export interface Ended {
  readonly evidence: Evidence;
  readonly rushes: readonly Rush[];
  readonly lastResumeMs: number;
  readonly checks: readonly Check[];
}

const SKUS = ['S', 'M', 'L', 'XL'] as const;
const PRICE_MINOR_UNITS = 25_00;
/** Looked up one by one; HTTP answers 6,000 requests a minute and API key. */
const LOOK_UPS_MAX = 500;
const ASKS_TWICE = 0.1;

export class Host {
  readonly show: string;
  readonly desk: Checkout;
  readonly office: BackOffice;
  readonly #fleet: Fleet;
  readonly #load: LoadHandle<EveningCommand, Granted>;
  readonly #seed: number;
  #sales = 0;

  constructor(
    show: string,
    office: BackOffice,
    fleet: Fleet,
    load: LoadHandle<EveningCommand, Granted>,
    desk: Checkout,
    seed: number,
  ) {
    this.show = show;
    this.office = office;
    this.desk = desk;
    this.#fleet = fleet;
    this.#load = load;
    this.#seed = seed;
    load.onReport((granted) => desk.hear(granted));
  }

  command(command: EveningCommand): void {
    this.#load.command(command);
  }

  /** Messages are dealt out to the workers in turns. */
  talk(atMs: number, messages: ReadonlyArray<readonly [offsetMs: number, text: string]>): void {
    const { workers } = this.#fleet;
    for (const { index } of workers)
      this.#load.command(
        { do: 'talk', atMs, messages: messages.filter((_, i) => i % workers.length === index) },
        index,
      );
  }

  /**
   * Plans a sale and tells the buyers. `zeroMs`: when it opens on the fleet's clock, to about a
   * round trip.
   */
  async sell({
    units,
    opensInMs,
    durationMs,
    holdMs,
    ...press
  }: SaleOptions): Promise<{ readonly sale: string; readonly zeroMs: number }> {
    const sale = `flash-${++this.#sales}`;
    const askedMs = this.#fleet.nowMs();
    const { opensAt } = await this.office.createSale(
      this.show,
      {
        id: sale,
        title: `Flash ${this.#sales}`,
        currency: 'EUR',
        perBuyer: press.perBuyer,
        holdMs,
        opensInMs,
        durationMs,
        skus: SKUS.map((sku, i) => ({
          sku,
          product: 'tee',
          price: PRICE_MINOR_UNITS,
          quantity: Math.max(1, Math.floor(units / SKUS.length) + Number(i < units % SKUS.length)),
        })),
      },
      `${this.show}-${sale}`,
    );
    const answeredMs = this.#fleet.nowMs();
    this.command({ do: 'press', sale, skus: [...SKUS], opensAt: opensAt ?? 0, ...press });
    return { sale, zeroMs: (askedMs + answeredMs) / 2 + opensInMs };
  }

  /**
   * Everybody stops, answers under way are waited for, and what was seen is held against the books.
   */
  async end(zeroSpreadMs: number): Promise<Ended> {
    await this.desk.close();
    const summaries = (await this.#load.stop()) as EveningSummary[];
    const evidence = addEvidence([
      ...summaries.map((summary) => summary.evidence),
      { ...NOTHING_SEEN, ends: this.desk.ends },
    ]);
    const books = await readBooks(this.office, this.show, evidence.grants, { most: LOOK_UPS_MAX, seed: this.#seed });
    const selling = this.#sales > 0 ? checkSales(evidence, books) : [];
    const desk =
      this.desk.ends.length > 0
        ? [
            checkOf(
              'orders repeated get the same answer',
              'I4',
              this.desk.contradictions,
              `${this.desk.ends.length} orders`,
            ),
          ]
        : [];
    return {
      evidence,
      rushes: addRushes(summaries.flatMap(({ rushes }) => rushes)),
      lastResumeMs: Math.max(...summaries.map(({ lastResumeMs }) => lastResumeMs)),
      checks: [...selling, ...desk, ...checkZeros(evidence, zeroSpreadMs), ...checkLines(evidence)],
    };
  }
}

/** The show stands and its people are ready for orders; nobody has come yet. */
export async function openEvening(
  target: Target,
  fleet: Fleet,
  common: CommonFlags,
  options: EveningRunOptions,
): Promise<Host> {
  const { label, people, clocks, pays = 0, payWithinMs = 0, measureEvery = 20 } = options;
  const { office } = target;
  if (office === null) throw new Error('a night needs the control API');
  const show = await openRoom(target, label);
  await office.putProduct(show, {
    id: 'tee',
    brand: 'brand',
    title: 'Tee',
    skus: SKUS.map((sku) => ({ sku, title: sku })),
  });
  const access = await target.access(show, people);
  const params: EveningParams = {
    gate: target.gate,
    access,
    show,
    variant: common.variant,
    people,
    measureEvery,
    clocks,
  };
  const load = await fleet.load<EveningParams, EveningCommand, Granted>('evening', params);
  load.start(fleet.nowMs());
  const desk = new Checkout({
    office,
    show,
    seed: common.seed,
    nowMs: () => fleet.nowMs(),
    pays,
    asksTwice: ASKS_TWICE,
    withinMs: payWithinMs,
  });
  return new Host(show, office, fleet, load, desk, common.seed);
}

function addRushes(rushes: readonly Rush[]): Rush[] {
  const bySale = new Map<string, Rush>();
  for (const rush of rushes) {
    const known = bySale.get(rush.sale);
    bySale.set(
      rush.sale,
      known === undefined
        ? rush
        : {
            sale: rush.sale,
            answers: known.answers + rush.answers,
            accepted: known.accepted + rush.accepted,
            firstDueMs: Math.min(known.firstDueMs, rush.firstDueMs),
            lastAnswerMs: Math.max(known.lastAnswerMs, rush.lastAnswerMs),
          },
    );
  }
  return [...bySale.values()];
}
