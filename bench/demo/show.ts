/** One run of the demo: a show, its sales one after the other, its users, and the outcome. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import { BackOffice, BackOfficeError } from '../users/back-office.ts';
import { type Books, readBooks } from '../verdict/books.ts';
import { checkSales } from '../verdict/checks.ts';
import { addEvidence, type Evidence, NO_EVIDENCE } from '../verdict/evidence.ts';
import { distinct } from '../verdict/grants.ts';
import { BRANDS, flashSale, PRODUCTS } from './catalogue.ts';
import type { RunningEngine } from './engine.ts';
import { DEMO_HOLD_MS, type DemoOptions } from './options.ts';
import { checkoutOf, pictureOf, type ShopSite } from './shop-site.ts';
import { DemoUsers } from './users.ts';

/** How long a sale stays open, and the time from one opening to the next. */
const SALE_MS = 45_000;
const SALE_EVERY_MS = 65_000;
/** A later sale is announced this long before it opens. */
const ANNOUNCED_BEFORE_MS = 20_000;
const FIRST_CALL_MS = 6_000;
const SECOND_CALL_MS = 10_000;
/** A sale opens at least this long before a run ends. */
const LAST_OPENING_MS = 15_000;
/** The last hold of a run should have expired before the books are read. */
const EXPIRY_MARGIN_MS = 1_500;
const SALE_MS_MIN = 3_000;
const WELCOME_MS = 5_000;
const LOOK_UPS_MAX = 500;

export type Outcome = Awaited<ReturnType<DemoShow['finish']>>;

export class DemoShow {
  readonly id = showId(new Date());
  readonly users: DemoUsers;
  readonly startedAt = performance.now();
  readonly #options: DemoOptions;
  readonly #engine: RunningEngine;
  readonly #site: ShopSite;
  readonly #backOffice: BackOffice;

  constructor(options: DemoOptions, engine: RunningEngine, site: ShopSite) {
    this.#options = options;
    this.#site = site;
    this.#engine = engine;
    this.#backOffice = new BackOffice(engine.controlUrl, engine.apiKey);
    const opensMs = options.opensInSeconds * 1000;
    this.users = new DemoUsers({
      backOffice: this.#backOffice,
      gatewayUrl: engine.gatewayUrl,
      show: this.id,
      viewers: options.viewers,
      seed: options.seed,
      joinMs: Math.min(8_000, opensMs * 0.4),
      lateMs: [opensMs * 0.9, opensMs + 12_000],
      ...(options.trace === null ? {} : { trace: options.trace }),
    });
  }

  get watchUrl(): string {
    return `${this.#engine.controlUrl}/watch/${this.id}`;
  }

  /** Resolves when the show is live, the first sale is planned and the first users join. */
  async start(): Promise<void> {
    const office = this.#backOffice;
    const show = { id: this.id, title: 'Stampede Evening Market', guests: true, brands: [...BRANDS] };
    const { url } = this.#site;
    const media = { videoUrl: `${url}/media/stage.mp4`, posterUrl: `${url}/media/poster.jpg` };
    await office.createShow({ ...show, ...media, checkoutUrl: checkoutOf(url), visibility: 'public' });
    for (const product of PRODUCTS)
      await office.putProduct(this.id, { ...product, imageUrl: pictureOf(url, product.id) });
    this.#site.checkout = {
      getReservation: (id) => office.getReservation(this.id, id),
      pay: async ({ id, amount }) => {
        const reply = await this.users.checkout.confirm(id, amount, `page-${id}`);
        return reply.t === 'ok' ? null : 'The payment was refused. Try again.';
      },
    };
    await office.startShow(this.id);
    await this.#planSale(1, this.#options.opensInSeconds * 1000);
    await office.pin(this.id, PRODUCTS[0]?.id ?? null);
    await this.users.start();
  }

  /** Pins, announcements, and the next sale about every minute, until the signal. */
  async host(signal: AbortSignal): Promise<void> {
    const office = this.#backOffice;
    let opensAtMs = this.#options.opensInSeconds * 1000;
    const at = (ms: number): Promise<boolean> => pause(this.startedAt + ms - performance.now(), signal);
    try {
      for (let number = 1; ; number += 1) {
        if (!(await at(opensAtMs - FIRST_CALL_MS))) return;
        await office.announce(this.id, 'Get ready: two per person, and what you hold is yours for 15 seconds ⏳');
        await office.pin(this.id, PRODUCTS[number % PRODUCTS.length]?.id ?? null);
        if (!(await at(opensAtMs + SECOND_CALL_MS))) return;
        await office.announce(this.id, 'Holds that run out come back: keep an eye on your size 👀');
        opensAtMs += SALE_EVERY_MS;
        if (opensAtMs + LAST_OPENING_MS > this.#endsMs) return;
        if (!(await at(opensAtMs - ANNOUNCED_BEFORE_MS))) return;
        await this.#planSale(number + 1, ANNOUNCED_BEFORE_MS);
      }
    } catch (error) {
      // A show has a limited number of sales: after some hours the users only chat.
      if (error instanceof BackOfficeError && error.code === 'limit_reached') return;
      if (!signal.aborted) this.users.counters.violation(`the back office of the host failed: ${String(error)}`);
    }
  }

  /** Stops the users, and checks what they saw against the books. */
  async finish() {
    const { users } = this;
    await users.settle();
    const head = await this.#headOfLog();
    const behind = users.connected.filter(
      ({ client: { status, model } }) =>
        head !== null && status.at === 'open' && (model.epoch !== head.epoch || model.offset < head.offset),
    );
    const seen = addEvidence([users.probe.evidence(), { ...NO_EVIDENCE, ends: users.checkout.ends }]);
    const lookUp = { most: LOOK_UPS_MAX, seed: this.#options.seed };
    const books = await readBooks(this.#backOffice, this.id, seen.grants, lookUp).catch((error: unknown) => {
      users.counters.violation(`the books could not be read: ${String(error)}`);
      return null;
    });
    users.leave();
    // The next demo on this data should not list it as live.
    await this.#backOffice.endShow(this.id).catch(() => {});
    const evidence = books === null ? seen : withOtherBuyers(seen, books);
    return {
      show: this.id,
      seconds: (performance.now() - this.startedAt) / 1000,
      /** Null when the books could not be read. */
      verification: books?.verification ?? null,
      checks: [...(books === null ? [] : checkSales(evidence, books)), ...users.checkout.checks()],
      evidence,
      /** Newest event of the log, from the welcome of a new viewer. */
      headOffset: head?.offset ?? null,
      /** Connected viewers that have not reached that event. */
      behind: behind.length,
    };
  }

  get #endsMs(): number {
    return this.#options.seconds === null ? Infinity : this.#options.seconds * 1000;
  }

  /** A run with an end closes its last sale one hold before it, so that abandoned holds expire. */
  #planSale(number: number, opensInMs: number): Promise<unknown> {
    const leftMs = this.#endsMs - (performance.now() - this.startedAt) - opensInMs;
    const durationMs = Math.round(Math.max(SALE_MS_MIN, Math.min(SALE_MS, leftMs - DEMO_HOLD_MS - EXPIRY_MARGIN_MS)));
    const spec = flashSale({ number, viewers: this.#options.viewers, opensInMs, durationMs });
    return this.#backOffice.createSale(this.id, spec, `${this.id}-${spec.id ?? number}`);
  }

  async #headOfLog(): Promise<{ epoch: string; offset: number } | null> {
    const client = connect({ url: this.#engine.gatewayUrl, show: this.id, WebSocket });
    const welcome = await Promise.race([
      new Promise<{ epoch: string; offset: number }>((resolve) => client.once('welcome', resolve)),
      sleep(WELCOME_MS, null, { ref: false }),
    ]);
    client.close();
    return welcome;
  }
}

/** Reservations unknown to virtual users (made on the viewer page) count as lost replies. */
export function withOtherBuyers(evidence: Evidence, { verification }: Books): Evidence {
  const others = Math.max(0, verification.reservations - distinct(evidence.grants).size);
  return { ...evidence, requests: { ...evidence.requests, openReserves: others } };
}

/** Readable, unique for a run, and sorted by time: `market-1123-0154-07`. */
function showId(now: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = two(now.getMonth() + 1) + two(now.getDate());
  return `market-${day}-${two(now.getHours())}${two(now.getMinutes())}-${two(now.getSeconds())}`;
}

const pause = (ms: number, signal: AbortSignal): Promise<boolean> =>
  sleep(Math.max(0, ms), true, { signal }).catch(() => false);
