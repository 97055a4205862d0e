/**
 * Follows the log of one show: listens first, loads after, applies what comes in order, and loads
 * again whenever something may be missing. While it is not in step it keeps what arrives and
 * applies it on top of what it loads.
 */

import type { ChatBatch } from '../domain/chat.ts';
import type { Clock } from '../domain/clock.ts';
import type { Commit, Counts, RelayListener, RelayMessage, RoomSnapshot, ShowLog } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import type { Result } from '../protocol/codes.ts';
import type { ShowEvent } from '../protocol/messages.ts';
import { ShowReplica } from './replica.ts';

export interface FollowerHandlers {
  /** The view has just applied this. */
  onCommit(commit: Commit): void;
  onChat(batch: ChatBatch): void;
  onCounts(counts: Counts): void;
  /**
   * In step again. `events` are those that were missed, complete; null: they cannot be had, only
   * the snapshot stands. `anew`: under another epoch, so that ids of chat may have begun anew, too.
   */
  onCaughtUp(events: readonly ShowEvent[] | null, loaded: ChatHistory, anew: boolean): void;
  /** The show is no longer there. */
  onGone(): void;
}

export type ChatHistory = Pick<RoomSnapshot, 'chat' | 'lastChat'>;

export interface FollowerOptions {
  readonly showId: string;
  readonly log: Pick<ShowLog, 'subscribe' | 'load' | 'eventsAfter'>;
  readonly clock: Clock;
  readonly handlers: FollowerHandlers;
}

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;

export class ShowFollower {
  readonly replica = new ShowReplica();
  private readonly options: FollowerOptions;
  private readonly listener: RelayListener;
  private unsubscribe: (() => Promise<void>) | null = null;
  private waiting: RelayMessage[] = [];
  private inStep = false;
  private catchingUp: Promise<void> | null = null;
  /** Something may be missing from what the running catch-up loads: it has to load once more. */
  private missedMore = false;
  /** Where the show stood when Redis was last asked. */
  private known = { epoch: '', rev: 0 };
  /** The newest chat message that the log has told; ids count up by one. */
  private chatId = 0;
  private stopped = false;

  constructor(options: FollowerOptions) {
    this.options = options;
    this.listener = { onMessage: (message) => this.onMessage(message), onResync: () => this.catchUp() };
  }

  /** True while the view equals what Redis committed, as far as the line has told. */
  get isSynced(): boolean {
    return this.inStep;
  }

  /** Subscribes and loads; the chat history comes back, everything else is in the view. */
  async open(): Promise<Result<ChatHistory>> {
    const loaded = await this.load();
    if (!loaded.ok) {
      await this.stop();
      return loaded;
    }
    this.adopt(loaded.value);
    this.replay();
    return loaded;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.inStep = false;
    this.waiting = [];
    const unsubscribe = this.unsubscribe;
    this.unsubscribe = null;
    await unsubscribe?.();
  }

  /**
   * Redis said where the show stands. What it had published by the time before must have come by
   * now; if it has not, it was lost on a line that nobody saw break, and nothing came after it to
   * tell.
   */
  checkPosition(position: { epoch: string; rev: number }): void {
    const { epoch, rev } = this.known;
    this.known = position;
    if (this.inStep && epoch === position.epoch && (this.replica.epoch !== epoch || this.replica.rev < rev))
      this.catchUp();
  }

  /** The show is said to be gone: finds out. */
  reload(): void {
    this.catchUp();
  }

  private adopt(loaded: RoomSnapshot): void {
    this.replica.adopt(loaded);
    this.chatId = loaded.lastChat;
  }

  private async load(): Promise<Result<RoomSnapshot>> {
    const { log, showId } = this.options;
    // Subscribing again is harmless and makes sure that the line is listening before the load.
    const subscribed = await log.subscribe(showId, this.listener);
    if (!subscribed.ok) return subscribed;
    this.unsubscribe = subscribed.value.unsubscribe;
    if (this.stopped) {
      await subscribed.value.unsubscribe();
    }
    return log.load(showId);
  }

  private onMessage(message: RelayMessage): void {
    if (this.stopped) return;
    if (this.inStep) this.apply(message);
    else if (this.waiting.length < LIMITS.relayBacklogMax) this.waiting.push(message);
    else this.missedMore = true;
  }

  private apply(message: RelayMessage): void {
    const { handlers } = this.options;
    switch (message.kind) {
      case 'chat':
        return this.applyChat(message.batch);
      case 'counts':
        if (this.replica.applyCounts(message.counts)) handlers.onCounts(message.counts);
        return;
      case 'commit': {
        const applied = this.replica.apply(message.commit);
        if (applied === 'applied') handlers.onCommit(message.commit);
        else if (applied !== 'stale') this.catchUp();
      }
    }
  }

  /**
   * Chat has no revision, but its ids leave no hole: one that is there is a batch that got lost on
   * the way.
   */
  private applyChat(batch: ChatBatch): void {
    if (batch.firstId > this.chatId + 1) return this.catchUp();
    this.chatId = Math.max(this.chatId, batch.firstId + (batch.taken ?? batch.count) - 1);
    this.options.handlers.onChat(batch);
  }

  private replay(): void {
    this.inStep = true;
    const waiting = this.waiting;
    this.waiting = [];
    for (const message of waiting) {
      // Applying may itself find a gap; what follows then waits for the next load.
      if (this.inStep) this.apply(message);
      else this.waiting.push(message);
    }
  }

  private catchUp(): void {
    if (this.stopped) return;
    this.inStep = false;
    this.missedMore = true;
    this.catchingUp ??= this.catchUpUntilInStep().finally(() => {
      this.catchingUp = null;
      // A gap found while replaying asked for more after the loop had looked.
      if (!this.inStep && !this.stopped) this.catchUp();
    });
  }

  private async catchUpUntilInStep(): Promise<void> {
    let pauseMs = RETRY_MIN_MS;
    while (this.missedMore && !this.stopped) {
      this.missedMore = false;
      const outcome = await this.catchUpOnce();
      if (outcome === 'gone') return;
      if (outcome === 'done') continue;
      this.missedMore = true;
      await new Promise<void>((resolve) => void this.options.clock.setTimer(resolve, pauseMs));
      pauseMs = Math.min(RETRY_MAX_MS, pauseMs * 2);
    }
  }

  private async catchUpOnce(): Promise<'done' | 'again' | 'gone'> {
    const loaded = await this.load();
    if (this.stopped) return 'done';
    if (!loaded.ok) {
      if (loaded.error.code !== 'show_not_found') return 'again';
      this.options.handlers.onGone();
      return 'gone';
    }
    const events = await this.missedEvents(loaded.value);
    if (this.stopped) return 'done';
    if (!events.ok) return 'again';
    if (this.missedMore) return 'again';
    const anew = loaded.value.snapshot.epoch !== this.replica.epoch;
    this.adopt(loaded.value);
    this.options.handlers.onCaughtUp(events.value, loaded.value, anew);
    this.replay();
    return 'done';
  }

  /**
   * The events between our position and the loaded one, or null when only the snapshot can help.
   */
  private async missedEvents({ snapshot }: RoomSnapshot): Promise<Result<readonly ShowEvent[] | null>> {
    const { log, showId } = this.options;
    const { epoch, offset } = this.replica;
    if (snapshot.epoch !== epoch || snapshot.offset < offset) return { ok: true, value: null };
    if (snapshot.offset === offset) return { ok: true, value: [] };
    const found = await log.eventsAfter(showId, epoch, offset);
    if (!found.ok || found.value === null) return found;
    const events = found.value.filter((event) => event.offset <= snapshot.offset);
    return { ok: true, value: events.length === snapshot.offset - offset ? events : null };
  }
}
