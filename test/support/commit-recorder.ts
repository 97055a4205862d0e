/**
 * Records the commits that a show publishes, and compares them with its state: event numbers
 * without a gap, growing revisions, and a sum equal to the books (promises I6 and I7).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Commit } from '../../src/domain/show-log.ts';
import type { ReservationView, SaleStateView, SaleView, ShowEvent } from '../../src/protocol/messages.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';

/** A commit with the reservations as clients see them. */
type Recorded = Omit<Commit, 'reservations' | 'holds'> & { readonly reservations: readonly ReservationView[] };

export class CommitRecorder {
  readonly commits: Recorded[] = [];
  resyncs = 0;
  readonly #store: ConnectedStore;
  readonly #show: string;
  /** The last event and revision before the recording started. */
  #offset = 0;
  #rev = 0;
  #unsubscribe: (() => Promise<void>) | undefined;

  private constructor(store: ConnectedStore, show: string) {
    this.#store = store;
    this.#show = show;
  }

  static async of(store: ConnectedStore, show: string): Promise<CommitRecorder> {
    const recorder = new CommitRecorder(store, show);
    const subscribed = await store.subscribe(show, {
      onMessage: (message) => {
        if (message.kind !== 'commit') return;
        const { reservations, holds, ...commit } = message.commit;
        const views = [...reservations, ...(holds?.changes() ?? [])].map((change) => change.view());
        recorder.commits.push({ ...commit, reservations: views });
      },
      onResync: () => {
        recorder.resyncs++;
      },
    });
    if (!subscribed.ok) throw new Error(`subscribe: ${subscribed.error.code}`);
    recorder.#unsubscribe = subscribed.value.unsubscribe;
    const start = await store.load(show);
    if (!start.ok) throw new Error(`load: ${start.error.code}`);
    recorder.#offset = start.value.snapshot.offset;
    recorder.#rev = start.value.rev;
    return recorder;
  }

  /** Waits until every commit made so far has arrived. */
  async settled(): Promise<void> {
    const loaded = await this.#store.load(this.#show);
    const rev = loaded.ok ? loaded.value.rev : 0;
    const until = Date.now() + 3_000;
    while ((this.commits.at(-1)?.rev ?? this.#rev) < rev && Date.now() < until) await sleep(2);
  }

  /** Returns the commits that `work` makes. */
  async during(work: () => Promise<unknown>): Promise<Recorded[]> {
    await this.settled();
    const from = this.commits.length;
    await work();
    await this.settled();
    return this.commits.slice(from);
  }

  async close(): Promise<void> {
    await this.#unsubscribe?.();
  }

  /** Returns how the commits differ from the state. Only for a connection that never broke. */
  async problems(): Promise<string[]> {
    await this.settled();
    const loaded = await this.#store.load(this.#show);
    if (!loaded.ok) return [`load: ${loaded.error.code}`];
    const { snapshot, rev } = loaded.value;
    const problems: string[] = [];
    if ((this.commits.at(-1)?.rev ?? this.#rev) !== rev)
      problems.push(`the last revision received is ${this.commits.at(-1)?.rev}, the show is at ${rev}`);
    this.commits.forEach((commit, i) => {
      const before = this.commits[i - 1]?.rev ?? this.#rev;
      if (commit.rev <= before) problems.push(`revision ${commit.rev} came after ${before}`);
    });

    const received = this.commits.flatMap(({ events }) => events);
    const log = await this.#store.eventsAfter(this.#show, snapshot.epoch, 0);
    if (!log.ok || log.value === null) return [...problems, 'the log cannot be read from its beginning'];
    problems.push(...numbering(log.value, 0), ...numbering(received, this.#offset));
    if (JSON.stringify(log.value.slice(this.#offset)) !== JSON.stringify(received))
      problems.push('the events received differ from the events in the log');
    if (snapshot.offset !== log.value.length)
      problems.push(`the show is at offset ${snapshot.offset}, the log has ${log.value.length} events`);

    const { sales, reservations } = sum(this.commits);
    for (const sale of snapshot.sales) {
      const { id, state, opensAt, closesAt } = sale;
      const left = Object.fromEntries(sale.skus.map(({ sku, left: units }) => [sku, units]));
      const published = textOf(sales.get(id));
      const actual = textOf({ state, opensAt, closesAt, left });
      if (published !== actual) problems.push(`sale ${id} was published as ${published}, it is ${actual}`);
    }
    for (const [id, view] of reservations) {
      const now = await this.#store.getReservation(this.#show, id);
      if (!now.ok || JSON.stringify(now.value) !== JSON.stringify(view))
        problems.push(`reservation ${id} was published as ${JSON.stringify(view)}, it is ${JSON.stringify(now)}`);
    }
    const verified = await this.#store.verify(this.#show);
    if (verified.ok && verified.value.reservations !== reservations.size)
      problems.push(`${reservations.size} reservations were published, the ledger has ${verified.value.reservations}`);
    return problems;
  }
}

type SaleValues = Omit<SaleStateView, 'id' | 'rev'>;

/** Merges commits as a client does: an event has all of a sale, and the newest value wins. */
function sum(commits: readonly Recorded[]) {
  const sales = new Map<string, SaleValues>();
  const reservations = new Map<string, ReservationView>();
  for (const commit of commits) {
    for (const { data } of commit.events) {
      const view = data['sale'] as SaleView | undefined;
      const { state, opensAt, closesAt, skus = [] } = view ?? {};
      const left = Object.fromEntries(skus.map(({ sku, left: units }) => [sku, units]));
      if (view) sales.set(view.id, { state, opensAt, closesAt, left } as SaleValues);
    }
    for (const { id, state, opensAt, closesAt, left } of commit.sales)
      sales.set(id, { state, opensAt, closesAt, left: { ...sales.get(id)?.left, ...left } });
    for (const view of commit.reservations) reservations.set(view.id, view);
  }
  return { sales, reservations };
}

const numbering = (events: readonly ShowEvent[], after: number): string[] =>
  events.flatMap(({ offset, at }, i) => [
    ...(offset === after + 1 + i ? [] : [`event ${i + 1} has offset ${offset}, expected ${after + 1 + i}`]),
    ...(at >= (events[i - 1]?.at ?? 0) ? [] : [`event ${offset} is older than the one before it`]),
  ]);

const textOf = (sale: SaleValues | undefined): string =>
  JSON.stringify(sale && { ...sale, left: Object.entries(sale.left).sort(([a], [b]) => (a < b ? -1 : 1)) });
