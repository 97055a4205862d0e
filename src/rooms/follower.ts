/**
 * Keeps the replica of one show current: subscribes first, loads after, applies messages in order,
 * and loads again if something may be missing. Meanwhile messages are buffered and applied on top
 * of what is loaded.
 */
import type { ChatBatch } from '../domain/chat.ts';
import { type Clock, guarded, pause } from '../domain/clock.ts';
import type {
  BusyUsers,
  Commit,
  Counts,
  RelayListener,
  RelayMessage,
  RoomSnapshot,
  ShowLog,
} from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import { type Failure, isClosed, type Result } from '../protocol/codes.ts';
import type { ShowEvent } from '../protocol/messages.ts';
import { ShowReplica } from './replica.ts';

export interface FollowerHandlers {
  /** The replica has just applied this. */
  onCommit(commit: Commit): void;
  onChat(batch: ChatBatch): void;
  onCounts(counts: Counts): void;
  onBusyUsers(busy: BusyUsers): void;
  /**
   * In sync again. `events` are all missed ones, or null if the log no longer has them: then only a
   * snapshot helps. Under a new epoch chat ids may have started again.
   */
  onCaughtUp(events: readonly ShowEvent[] | null, loaded: ChatHistory, isNewEpoch: boolean): void;
  /** This node can no longer serve the show. */
  onGone(error: Failure): void;
  /** A message could not be applied. Calls `resync`. */
  onUnexpected(error: unknown): void;
}

export type ChatHistory = Pick<RoomSnapshot, 'chat' | 'lastChat'>;

export interface FollowerOptions {
  readonly showId: string;
  readonly log: Pick<ShowLog, 'isOpen' | 'subscribe' | 'load' | 'eventsAfter'>;
  readonly clock: Clock;
  readonly handlers: FollowerHandlers;
}

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;
/** Each one sends a snapshot to all viewers. */
const RESYNC_PAUSE_MAX_MS = 30_000;

export class ShowFollower {
  readonly replica = new ShowReplica();
  private readonly options: FollowerOptions;
  private readonly listener: RelayListener;
  private unsubscribe: (() => Promise<void>) | null = null;
  private buffered: RelayMessage[] = [];
  private inSync = false;
  private catchingUp: Promise<void> | null = null;
  /** The running catch-up may miss something: it has to load once more. */
  private mustReload = false;
  /** Position of the show at the last counts report. */
  private reported = { epoch: '', rev: 0 };
  /** The newest chat id received from the log; ids count up by one. */
  private chatId = 0;
  private isStopped = false;
  /** What viewers have may be wrong: only a snapshot helps. */
  private mustReplace = false;
  private resyncPauseMs = 0;
  private resyncedMs = Number.NEGATIVE_INFINITY;

  constructor(options: FollowerOptions) {
    this.options = options;
    const { onUnexpected } = options.handlers;
    const fail = (error: unknown): void => onUnexpected.call(options.handlers, error);
    this.listener = {
      onMessage: (message) => guarded(() => this.onMessage(message), fail)(),
      onResync: () => guarded(() => this.reload(), fail)(),
    };
  }

  /** True while the replica equals what Redis committed, as far as messages have arrived. */
  get isSynced(): boolean {
    return this.inSync;
  }

  /** Subscribes and loads. Returns the chat history; everything else is in the replica. */
  async open(): Promise<Result<ChatHistory>> {
    const { log, showId } = this.options;
    // Anyone can name shows that do not exist. A question costs less than a subscription.
    const isOpen = await log.isOpen(showId);
    const loaded = isOpen.ok ? await this.load() : isOpen;
    if (!loaded.ok) {
      await this.stop();
      return loaded;
    }
    this.adopt(loaded.value);
    this.applyBuffered();
    return loaded;
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.inSync = false;
    this.buffered = [];
    const { unsubscribe } = this;
    this.unsubscribe = null;
    await unsubscribe?.();
  }

  /**
   * Compares with the position that Redis returned for a counts report. What it had published at
   * the report before must have arrived by now; otherwise it was lost, on a quiet show unnoticed.
   */
  checkPosition(position: { epoch: string; rev: number }): void {
    const { epoch, rev } = this.reported;
    this.reported = position;
    if (this.inSync && epoch === position.epoch && (this.replica.epoch !== epoch || this.replica.rev < rev))
      this.reload();
  }

  /** Something may be missing, or the show may be gone: loads again. */
  reload(): void {
    if (this.isStopped) return;
    this.inSync = false;
    this.mustReload = true;
    this.catchingUp ??= this.catchUp().finally(() => {
      this.catchingUp = null;
      // A gap found among the buffered messages asked for a reload after the loop ended.
      if (!this.inSync && !this.isStopped) this.reload();
    });
  }

  /** The state of the room may be wrong: loads again, as after a new epoch. */
  resync(): void {
    const nowMs = this.options.clock.nowMs();
    const isRepeated = nowMs - this.resyncedMs < 2 * RESYNC_PAUSE_MAX_MS;
    if (!this.mustReplace)
      this.resyncPauseMs = isRepeated
        ? Math.min(RESYNC_PAUSE_MAX_MS, Math.max(RETRY_MIN_MS, 2 * this.resyncPauseMs))
        : 0;
    this.resyncedMs = nowMs;
    this.mustReplace = true;
    this.reload();
  }

  private adopt(loaded: RoomSnapshot): void {
    this.replica.adopt(loaded);
    this.chatId = loaded.lastChat;
  }

  private async load(): Promise<Result<RoomSnapshot>> {
    const { log, showId } = this.options;
    // Subscribing twice is harmless, and makes sure that messages arrive before the load.
    const subscribed = await log.subscribe(showId, this.listener);
    if (!subscribed.ok) return subscribed;
    this.unsubscribe = subscribed.value.unsubscribe;
    if (this.isStopped) await subscribed.value.unsubscribe();
    return log.load(showId);
  }

  private onMessage(message: RelayMessage): void {
    if (this.isStopped) return;
    if (this.inSync) this.apply(message);
    else if (this.buffered.length < LIMITS.relayBacklogMax) this.buffered.push(message);
    else this.mustReload = true;
  }

  private apply(message: RelayMessage): void {
    const { handlers } = this.options;
    switch (message.kind) {
      case 'chat':
        return this.applyChat(message.batch);
      case 'counts':
        if (this.replica.applyCounts(message.counts)) handlers.onCounts(message.counts);
        if (message.busy !== undefined) handlers.onBusyUsers(message.busy);
        return;
      case 'commit': {
        const applied = this.replica.apply(message.commit);
        if (applied === 'applied') handlers.onCommit(message.commit);
        else if (applied !== 'stale') this.reload();
      }
    }
  }

  /** Chat has no revision, but its ids are contiguous: a hole is a lost batch. */
  private applyChat(batch: ChatBatch): void {
    if (batch.firstId > this.chatId + 1) return this.reload();
    this.chatId = Math.max(this.chatId, batch.firstId + (batch.taken ?? batch.count) - 1);
    this.options.handlers.onChat(batch);
  }

  private applyBuffered(): void {
    this.inSync = true;
    const { buffered } = this;
    this.buffered = [];
    for (const message of buffered) {
      // Applying one may find a gap; the rest then waits for the next load.
      if (this.inSync) this.apply(message);
      else this.buffered.push(message);
    }
  }

  private async catchUp(): Promise<void> {
    let pauseMs = RETRY_MIN_MS;
    while (this.mustReload && !this.isStopped) {
      if (this.mustReplace && this.resyncPauseMs > 0) await pause(this.options.clock, this.resyncPauseMs);
      this.mustReload = false;
      const outcome = await this.catchUpOnce().catch((error: unknown) => {
        this.options.handlers.onUnexpected(error);
        return 'again' as const;
      });
      if (outcome === 'gone') return;
      if (outcome === 'done') continue;
      this.mustReload = true;
      await pause(this.options.clock, pauseMs);
      pauseMs = Math.min(RETRY_MAX_MS, pauseMs * 2);
    }
  }

  private async catchUpOnce(): Promise<'done' | 'again' | 'gone'> {
    const { handlers } = this.options;
    const loaded = await this.load();
    if (this.isStopped) return 'done';
    if (!loaded.ok) {
      if (!isClosed(loaded.error.code)) return 'again';
      handlers.onGone(loaded.error);
      return 'gone';
    }
    const events = await this.missedEvents(loaded.value);
    if (this.isStopped) return 'done';
    if (!events.ok || this.mustReload) return 'again';
    const isNewEpoch = this.mustReplace || loaded.value.snapshot.epoch !== this.replica.epoch;
    this.adopt(loaded.value);
    this.mustReplace = false;
    handlers.onCaughtUp(events.value, loaded.value, isNewEpoch);
    this.applyBuffered();
    return 'done';
  }

  /** Returns the events up to the loaded position, or null if only a snapshot helps. */
  private async missedEvents({ snapshot }: RoomSnapshot): Promise<Result<readonly ShowEvent[] | null>> {
    const { log, showId } = this.options;
    const { epoch, offset } = this.replica;
    if (this.mustReplace || snapshot.epoch !== epoch || snapshot.offset < offset) return { ok: true, value: null };
    if (snapshot.offset === offset) return { ok: true, value: [] };
    const found = await log.eventsAfter(showId, epoch, offset);
    if (!found.ok || found.value === null) return found;
    const events = found.value.filter((event) => event.offset <= snapshot.offset);
    return { ok: true, value: events.length === snapshot.offset - offset ? events : null };
  }
}
