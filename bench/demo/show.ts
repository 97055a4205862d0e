/**
 * One run of the demo: a new show on the running engine, its sales one after the other, its
 * audience, and what came of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import type { Verification } from '../../src/domain/audit.ts';
import { BackOffice, BackOfficeError } from '../users/back-office.ts';
import { BRANDS, flashSale, PRODUCTS } from './catalogue.ts';
import type { RunningEngine } from './engine.ts';
import { DEMO_HOLD_MS, type DemoOptions } from './options.ts';
import { Crowd } from './users.ts';

/** How long a sale of the demo stays open, and from one opening to the next. */
const SALE_MS = 45_000;
const SALE_EVERY_MS = 65_000;
/** A later sale is announced this long before it opens. */
const ANNOUNCED_BEFORE_MS = 20_000;
/** The last hold of a run that ends by itself should have lapsed before the books are read. */
const LAPSE_MARGIN_MS = 1_500;
const PROBE_MS = 5_000;

export interface Outcome {
  readonly show: string;
  readonly seconds: number;
  readonly verification: Verification | null;
  /** Newest event of the show's log, as a fresh viewer is told. */
  readonly headOffset: number | null;
  /** Connected viewers whose model does not stand at the head. */
  readonly behind: number;
}

export class DemoShow {
  readonly id: string;
  readonly crowd: Crowd;
  readonly startedAt = performance.now();
  readonly #options: DemoOptions;
  readonly #engine: RunningEngine;
  readonly #backOffice: BackOffice;

  constructor(options: DemoOptions, engine: RunningEngine) {
    this.#options = options;
    this.#engine = engine;
    this.#backOffice = new BackOffice(engine.controlUrl, engine.apiKey);
    this.id = showId(new Date());
    const opensMs = options.opensInSeconds * 1000;
    this.crowd = new Crowd({
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

  /** The show stands, the first sale is planned and the first people are on their way. */
  async start(): Promise<void> {
    const office = this.#backOffice;
    await office.createShow({ id: this.id, title: 'Stampede Night Market', guests: true, brands: [...BRANDS] });
    for (const product of PRODUCTS) await office.putProduct(this.id, product);
    await office.startShow(this.id);
    await this.#planSale(1, this.#options.opensInSeconds * 1000);
    await office.pin(this.id, PRODUCTS[0]?.id ?? null);
    await this.crowd.start();
  }

  /**
   * The host at work: pins, announcements, and the next sale about every minute. Ends with the
   * signal.
   */
  async host(signal: AbortSignal): Promise<void> {
    const until = this.#options.seconds === null ? Infinity : this.#options.seconds * 1000;
    let number = 1;
    let opensAtMs = this.#options.opensInSeconds * 1000;
    const at = (ms: number): Promise<boolean> => pause(this.startedAt + ms - performance.now(), signal);
    try {
      for (;;) {
        if (!(await at(opensAtMs - 6_000))) return;
        await this.#backOffice.announce(
          this.id,
          'Get ready: two per person, and what you hold is yours for 15 seconds ⏳',
        );
        await this.#backOffice.pin(this.id, PRODUCTS[number % PRODUCTS.length]?.id ?? null);
        if (!(await at(opensAtMs + 10_000))) return;
        await this.#backOffice.announce(this.id, 'Holds that run out come back: keep an eye on your size 👀');
        opensAtMs += SALE_EVERY_MS;
        number += 1;
        if (opensAtMs + 15_000 > until) return;
        if (!(await at(opensAtMs - ANNOUNCED_BEFORE_MS))) return;
        await this.#planSale(number, ANNOUNCED_BEFORE_MS);
      }
    } catch (error) {
      // A show holds so many sales and no more: after some hours the audience just talks.
      if (error instanceof BackOfficeError && error.code === 'limit_reached') return;
      if (!signal.aborted)
        this.crowd.tally.violation(
          `the host's back office failed: ${error instanceof BackOfficeError ? error.message : String(error)}`,
        );
    }
  }

  /** The audience stops acting, what is under way is answered, and the books are read. */
  async finish(): Promise<Outcome> {
    await this.crowd.settle();
    const head = await this.#probeHead();
    const behind =
      head === null
        ? 0
        : this.crowd.people.filter(
            ({ client }) =>
              client.status.at === 'open' && (client.model.epoch !== head.epoch || client.model.offset < head.offset),
          ).length;
    const verification = await this.#backOffice.verify(this.id).catch((error: unknown) => {
      this.crowd.tally.violation(`the books could not be verified: ${String(error)}`);
      return null;
    });
    this.crowd.leave();
    return {
      show: this.id,
      seconds: (performance.now() - this.startedAt) / 1000,
      verification,
      headOffset: head?.offset ?? null,
      behind,
    };
  }

  get watchUrl(): string {
    return `${this.#engine.controlUrl}/watch/${this.id}`;
  }

  #planSale(number: number, opensInMs: number): Promise<unknown> {
    const left =
      this.#options.seconds === null
        ? Infinity
        : this.#options.seconds * 1000 - (performance.now() - this.startedAt) - opensInMs;
    // A run that ends by itself closes its last sale a hold's length before, so that what was
    // abandoned is seen to lapse.
    const durationMs = Math.round(Math.max(3_000, Math.min(SALE_MS, left - DEMO_HOLD_MS - LAPSE_MARGIN_MS)));
    const spec = flashSale({ number, viewers: this.#options.viewers, opensInMs, durationMs });
    return this.#backOffice.createSale(this.id, spec, `${this.id}-${spec.id ?? number}`);
  }

  /** A fresh viewer is told where the log stands: everybody else must stand there too. */
  async #probeHead(): Promise<{ epoch: string; offset: number } | null> {
    const client = connect({ url: this.#engine.gatewayUrl, show: this.id, WebSocket });
    const welcome = await Promise.race([
      new Promise<{ epoch: string; offset: number }>((done) => client.once('welcome', done)),
      sleep(PROBE_MS, null, { ref: false }),
    ]);
    client.close();
    return welcome;
  }
}

/** Readable, new for each run, and sorted by time: `night-market-1123-0154-07`. */
function showId(now: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  return `night-market-${two(now.getMonth() + 1)}${two(now.getDate())}-${two(now.getHours())}${two(now.getMinutes())}-${two(now.getSeconds())}`;
}

async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(Math.max(0, ms), undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
