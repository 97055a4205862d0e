/** The host of a show under load: its sales, commands to its users, the checkout, the checks. */
import type { Fleet, LoadHandle } from '../generator/contract.ts';
import type { CommonFlags } from '../scenarios/common-flags.ts';
import { openRoom } from '../scenarios/room.ts';
import type { Target } from '../scenarios/target.ts';
import type { BackOffice } from '../users/back-office.ts';
import { Checkout } from '../users/checkout.ts';
import { readBooks } from '../verdict/books.ts';
import { checkConnections, checkSales, checkZeros } from '../verdict/checks.ts';
import { addEvidence, NO_EVIDENCE } from '../verdict/evidence.ts';
import type { EveningCommand, EveningParams, EveningSummary, GrantReport, PressCommand, Rush } from './commands.ts';

export interface EveningRunOptions {
  readonly label: string;
  readonly users: number;
  readonly clocks: boolean;
  /** Share of the granted holds that is paid for; 0 unless given. */
  readonly pays?: number;
  readonly payWithinMs?: number;
  /** Every `measureEvery`-th user measures chat delivery. */
  readonly measureEvery?: number;
}

export interface SaleOptions extends Omit<PressCommand, 'do' | 'sale' | 'skus' | 'opensAt'> {
  readonly units: number;
  readonly opensInMs: number;
  readonly durationMs: number;
  readonly holdMs: number;
}

export type EveningResult = Awaited<ReturnType<Host['end']>>;

const SKUS = ['S', 'M', 'L', 'XL'] as const;
const PRICE_MINOR_UNITS = 25_00;
/** Limit of single look-ups: the HTTP API accepts 6,000 requests per minute and key. */
export const LOOK_UPS_MAX = 500;
const CONFIRM_REPEATS = 0.1;

export class Host {
  readonly show: string;
  readonly checkout: Checkout;
  readonly office: BackOffice;
  readonly #fleet: Fleet;
  readonly #load: LoadHandle<EveningCommand, GrantReport>;
  readonly #seed: number;
  #sales = 0;

  constructor(
    office: BackOffice,
    fleet: Fleet,
    load: LoadHandle<EveningCommand, GrantReport>,
    { show, seed, pays, withinMs }: { show: string; seed: number; pays: number; withinMs: number },
  ) {
    this.show = show;
    this.office = office;
    this.#fleet = fleet;
    this.#load = load;
    this.#seed = seed;
    const { nowMs } = fleet;
    this.checkout = new Checkout({ office, show, seed, nowMs, pays, repeats: CONFIRM_REPEATS, withinMs });
    load.onReport(({ granted }) => this.checkout.schedule(granted));
  }

  command(command: EveningCommand): void {
    this.#load.command(command);
  }

  sendChat(atMs: number, messages: ReadonlyArray<readonly [offsetMs: number, text: string]>): void {
    const { workers } = this.#fleet;
    for (const { index } of workers) {
      const own = messages.filter((_, i) => i % workers.length === index);
      this.#load.command({ do: 'chat', atMs, messages: own }, index);
    }
  }

  /** Creates a sale and commands the buyers. `openingMs` is right within half a round trip. */
  async sell(options: SaleOptions): Promise<{ readonly sale: string; readonly openingMs: number }> {
    const { units, opensInMs, durationMs, holdMs, ...press } = options;
    const sale = `flash-${++this.#sales}`;
    const skus = SKUS.map((sku, i) => {
      const quantity = Math.max(1, Math.floor(units / SKUS.length) + Number(i < units % SKUS.length));
      return { sku, product: 'tee', price: PRICE_MINOR_UNITS, quantity };
    });
    const title = `Flash ${this.#sales}`;
    const { perBuyer } = press;
    const spec = { id: sale, title, currency: 'EUR', perBuyer, holdMs, opensInMs, durationMs, skus };
    const sentMs = this.#fleet.nowMs();
    const { opensAt } = await this.office.createSale(this.show, spec, `${this.show}-${sale}`);
    const openingMs = (sentMs + this.#fleet.nowMs()) / 2 + opensInMs;
    this.command({ do: 'press', sale, skus: [...SKUS], opensAt: opensAt ?? 0, ...press });
    return { sale, openingMs };
  }

  /** Stops all users, waits for open requests, and compares what users received with the books. */
  async end(zeroSpreadMs: number) {
    await this.checkout.close();
    const summaries = (await this.#load.stop()) as EveningSummary[];
    const ended = { ...NO_EVIDENCE, ends: this.checkout.ends };
    const evidence = addEvidence([...summaries.map((summary) => summary.evidence), ended]);
    const books = await readBooks(this.office, this.show, evidence.grants, { most: LOOK_UPS_MAX, seed: this.#seed });
    return {
      evidence,
      rushes: addRushes(summaries.flatMap(({ rushes }) => rushes)),
      lastResumeMs: Math.max(...summaries.map(({ lastResumeMs }) => lastResumeMs)),
      checks: [
        ...(this.#sales > 0 ? checkSales(evidence, books) : []),
        ...this.checkout.checks(),
        ...checkZeros(evidence, zeroSpreadMs),
        ...checkConnections(evidence),
      ],
    };
  }
}

/** Creates the show and prepares its users, who wait for commands. */
export async function openEvening(target: Target, fleet: Fleet, common: CommonFlags, options: EveningRunOptions) {
  const { label, users, clocks, pays = 0, payWithinMs = 0, measureEvery = 20 } = options;
  const { office, gateway } = target;
  const { variant, seed } = common;
  if (office === null) throw new Error('this scenario needs the control API');
  const show = await openRoom(target, label);
  const skus = SKUS.map((sku) => ({ sku, title: sku }));
  await office.putProduct(show, { id: 'tee', brand: 'brand', title: 'Tee', skus });
  const access = await target.access(show, users);
  const params: EveningParams = { gateway, access, show, variant, users, measureEvery, clocks };
  const load = await fleet.load<EveningParams, EveningCommand, GrantReport>('evening', params);
  load.start(fleet.nowMs());
  return new Host(office, fleet, load, { show, seed, pays, withinMs: payWithinMs });
}

function addRushes(rushes: readonly Rush[]): Rush[] {
  const bySale = new Map<string, Rush>();
  for (const rush of rushes) {
    const known = bySale.get(rush.sale) ?? { ...rush, replies: 0, accepted: 0 };
    bySale.set(rush.sale, {
      sale: rush.sale,
      replies: known.replies + rush.replies,
      accepted: known.accepted + rush.accepted,
      firstDueMs: Math.min(known.firstDueMs, rush.firstDueMs),
      lastReplyMs: Math.max(known.lastReplyMs, rush.lastReplyMs),
    });
  }
  return [...bySale.values()];
}
