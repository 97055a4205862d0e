/** The local copy of one show, kept current by commits in the order Redis made them. */
import { MUTE_HASH_MARK } from '../domain/moderation.ts';
import { announcementIn, type Commit, type Counts, type MuteEntry, type RoomSnapshot } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import type {
  Announcement,
  Product,
  SaleStateView,
  SaleView,
  ShowEvent,
  ShowView,
  Snapshot,
  StateView,
} from '../protocol/messages.ts';

/** Estimated JSON of a sale's state without `left`, and of an entry of `left` without its SKU. */
const SALE_STATE_BYTES = 150;
const LEFT_BYTES = 10;

export class ShowReplica {
  epoch = '';
  offset = 0;
  rev = 0;
  /** Time of the next due thing on the Redis clock; null = nothing planned. */
  nextDueAt: number | null = null;
  /** Grows when the show, its products or the announcement change. Encodings are cached by it. */
  structureVersion = 0;
  /** Grows when sales or counters change. */
  stateVersion = 0;
  counts: Counts = { viewers: 0, peak: 0, hearts: 0, unique: 0 };
  /** User and the Redis time until which they may not chat; some have ended. */
  readonly mutes = new Map<string, number>();
  /** What `adopt` has changed in `mutes`; 0 = unmuted. */
  changedMutes: readonly MuteEntry[] = [];
  /** A mute may have a hash in place of the user. */
  hasMuteHashes = false;
  readonly products = new Map<string, Product>();
  readonly sales = new Map<string, SaleView>();
  /** It may have ended: `dropEndedAnnouncement`. */
  announcement: Announcement | null = null;
  private currentShow: ShowView | null = null;

  get show(): ShowView {
    if (this.currentShow === null) throw new Error('the replica of a show is read before it is loaded');
    return this.currentShow;
  }

  adopt(loaded: RoomSnapshot): void {
    const { snapshot } = loaded;
    this.epoch = snapshot.epoch;
    this.offset = snapshot.offset;
    this.rev = loaded.rev;
    this.nextDueAt = loaded.nextDueAt;
    this.currentShow = snapshot.show;
    this.announcement = snapshot.announcement ?? null;
    this.products.clear();
    for (const product of snapshot.products) this.products.set(product.id, product);
    this.sales.clear();
    for (const sale of snapshot.sales) this.sales.set(sale.id, structuredClone(sale));
    const { viewers, peak, hearts, unique } = { ...this.counts, ...snapshot.state };
    this.counts = { viewers, peak, hearts, unique };
    const muted = new Map(this.mutes);
    this.mutes.clear();
    this.hasMuteHashes = false;
    for (const mute of loaded.mutes) this.applyMute(mute, 0);
    const users = new Set([...muted.keys(), ...this.mutes.keys()]);
    this.changedMutes = [...users].flatMap((user) => {
      const until = this.mutes.get(user);
      return until === muted.get(user) ? [] : [[user, until ?? 0] as const];
    });
    this.structureVersion += 1;
    this.stateVersion += 1;
  }

  /** `stale`: already applied. `gap`: an earlier commit is missing. `epoch`: a new log. */
  apply(commit: Commit): 'applied' | 'stale' | 'gap' | 'epoch' {
    if (commit.epoch !== this.epoch) return 'epoch';
    if (commit.rev <= this.rev) return 'stale';
    if (commit.rev !== this.rev + 1) return 'gap';
    const first = commit.events[0];
    if (first !== undefined && first.offset !== this.offset + 1) return 'gap';
    for (const event of commit.events) {
      if (event.offset !== this.offset + 1) return 'gap';
      this.offset = event.offset;
      this.applyEvent(event);
    }
    for (const state of commit.sales) this.applySaleState(state);
    for (const mute of commit.mutes ?? []) this.applyMute(mute, commit.at);
    if (commit.events.length > 0 || commit.sales.length > 0) this.stateVersion += 1;
    this.rev = commit.rev;
    this.nextDueAt = commit.nextDueAt;
    return 'applied';
  }

  /** Redis replied what is due next, and no commit has arrived since. */
  setNextDueAt(nextDueAt: number | null): void {
    this.nextDueAt = nextDueAt;
  }

  /** Returns false if nothing changed. */
  applyCounts(counts: Counts): boolean {
    const { viewers, peak, hearts, unique } = this.counts;
    if (counts.viewers === viewers && counts.peak === peak && counts.hearts === hearts && counts.unique === unique)
      return false;
    this.counts = counts;
    this.stateVersion += 1;
    return true;
  }

  snapshot(): Snapshot {
    return {
      epoch: this.epoch,
      offset: this.offset,
      show: this.show,
      products: [...this.products.values()],
      sales: [...this.sales.values()],
      state: this.countsState(),
      ...(this.announcement === null ? {} : { announcement: this.announcement }),
    };
  }

  dropEndedAnnouncement(at: number): void {
    if (this.announcement?.until === undefined || this.announcement.until > at) return;
    this.announcement = null;
    this.structureVersion += 1;
  }

  countsState(): StateView {
    return { ...this.counts };
  }

  /**
   * All state values, for a viewer who has the snapshot but missed state frames. Null if they are
   * so many that a snapshot with pages must be sent.
   */
  fullState(): StateView | null {
    let bytes = 0;
    for (const { skus } of this.sales.values()) {
      bytes += SALE_STATE_BYTES;
      for (const { sku } of skus) bytes += sku.length + LEFT_BYTES;
    }
    if (bytes > LIMITS.stateBytesMax) return null;
    return { ...this.counts, sales: [...this.sales.values()].map(saleStateOf) };
  }

  private applyEvent({ at, type, data }: ShowEvent): void {
    switch (type) {
      case 'show.created':
      case 'show.updated':
      case 'show.started':
      case 'show.ended':
        this.currentShow = data['show'] as ShowView;
        this.structureVersion += 1;
        return;
      case 'product.saved': {
        const product = data['product'] as Product;
        this.products.set(product.id, product);
        this.structureVersion += 1;
        return;
      }
      case 'product.removed':
        this.products.delete(data['product'] as string);
        this.structureVersion += 1;
        return;
      case 'product.pinned':
        this.currentShow = { ...this.show, pinned: data['product'] as string | null };
        this.structureVersion += 1;
        return;
      case 'announcement':
        this.announcement = announcementIn(data, at);
        this.structureVersion += 1;
        return;
      case 'chat.removed':
      case 'show.recovered':
        return;
      default: {
        // Events of a sale carry all of it; types of later releases may carry none.
        const sale = data['sale'] as SaleView | undefined;
        if (sale !== undefined) this.sales.set(sale.id, structuredClone(sale));
      }
    }
  }

  private applyMute([user, until]: MuteEntry, at: number): void {
    if (until <= 0) this.mutes.delete(user);
    else this.mutes.set(user, until);
    this.hasMuteHashes ||= user.startsWith(MUTE_HASH_MARK);
    if (this.mutes.size <= LIMITS.mutesPerShowMax) return;
    for (const [known, end] of this.mutes) if (end <= at) this.mutes.delete(known);
  }

  private applySaleState(state: SaleStateView): void {
    const sale = this.sales.get(state.id);
    if (sale === undefined || state.rev < sale.rev) return;
    sale.rev = state.rev;
    sale.state = state.state;
    sale.opensAt = state.opensAt;
    sale.closesAt = state.closesAt;
    for (const sku of sale.skus) sku.left = state.left[sku.sku] ?? sku.left;
  }
}

export function saleStateOf(sale: SaleView): SaleStateView {
  const left: Record<string, number> = {};
  for (const { sku, left: units } of sale.skus) left[sku] = units;
  return { id: sale.id, rev: sale.rev, state: sale.state, opensAt: sale.opensAt, closesAt: sale.closesAt, left };
}
