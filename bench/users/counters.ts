/** What virtual users sent and received, counted; and the delivery time of chat between them. */
import { newHistogram } from '../generator/recorder.ts';

/** A sent message is matched to its deliveries for this long. */
const SENT_KEPT_MS = 60_000;
const VIOLATIONS_KEPT_MAX = 20;

export class UserCounters {
  readonly delivered = { chat: 0, events: 0, state: 0, personal: 0, frames: 0, missed: 0 };
  readonly refusals = new Map<string, number>();
  readonly sent = { chat: 0, chatRefused: 0, hearts: 0, reserves: 0, repeats: 0, releases: 0 };
  readonly outcomes = { accepted: 0, replayed: 0, unknown: 0, confirmed: 0, confirmFailed: 0 };
  readonly connections = { connects: 0, reconnects: 0, resumes: 0, snapshots: 0, gaps: 0, stopped: 0 };
  /** The first violations; `violationCount` counts all. */
  readonly violations: string[] = [];
  violationCount = 0;
  readonly #latencyMicros = newHistogram();
  readonly #sentAt = new Map<string, number>();
  #pruneAt = 0;

  violation(text: string): void {
    this.violationCount += 1;
    if (this.violations.length < VIOLATIONS_KEPT_MAX) this.violations.push(text);
  }

  refused(code: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  chatSent(name: string, text: string): void {
    const now = performance.now();
    this.sent.chat += 1;
    this.#sentAt.set(sentKey(name, text), now);
    if (now < this.#pruneAt) return;
    this.#pruneAt = now + SENT_KEPT_MS / 4;
    for (const [key, at] of this.#sentAt) if (now - at > SENT_KEPT_MS) this.#sentAt.delete(key);
  }

  /** Messages to the sender or from before `connectedAt` do not count as delivery time. */
  chatReceived(name: string, text: string, receiver: string, connectedAt: number): void {
    this.delivered.chat += 1;
    const sentAt = this.#sentAt.get(sentKey(name, text));
    if (sentAt === undefined || receiver === name || sentAt < connectedAt) return;
    this.#latencyMicros.recordValue(Math.max(1, Math.round((performance.now() - sentAt) * 1000)));
  }

  /** From the send call of one viewer to the receipt at another; null before the first. */
  latencyMs(percentile: number): number | null {
    return this.latencySamples === 0 ? null : this.#latencyMicros.getValueAtPercentile(percentile) / 1000;
  }

  get latencySamples(): number {
    return this.#latencyMicros.totalCount;
  }
}

const sentKey = (name: string, text: string): string => `${name}\n${text}`;
