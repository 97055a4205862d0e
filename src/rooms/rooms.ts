/** The rooms of this node: opened for the first viewer, closed a while after the last one. */
import { Alarm } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import { type ErrorCode, fail, ok, type Result } from '../protocol/codes.ts';
import { Room, type RoomDeps } from './room.ts';

interface Slot {
  readonly room: Room;
  /** Resolves when the room is open, or could not be opened. */
  readonly opened: Promise<Result<null>>;
  isOpen: boolean;
  /** Closes the room if it has no viewers. */
  readonly linger: Alarm;
}

/** Shows that are refused so are remembered for a while. */
const REMEMBERED: ReadonlySet<ErrorCode> = new Set(['show_not_found', 'show_archived', 'format_newer']);

interface UnknownShow {
  readonly room: Room;
  readonly opened: Promise<Result<null>>;
  readonly untilMs: number;
}

export class Rooms {
  private readonly deps: RoomDeps;
  private readonly slots = new Map<string, Slot>();
  /** Shows that could not be opened when they were asked for, oldest first. */
  private readonly unknown = new Map<string, UnknownShow>();

  constructor(deps: RoomDeps) {
    this.deps = {
      ...deps,
      onGone: (room, error) => {
        this.drop(room);
        deps.onGone(room, error);
      },
    };
  }

  get size(): number {
    return this.slots.size;
  }

  /** Returns whether `getOrOpen` needs no new room and no Redis. */
  has(showId: string): boolean {
    return this.slots.has(showId) || this.remembered(showId) !== undefined;
  }

  *[Symbol.iterator](): Iterator<Room> {
    for (const { room, isOpen } of this.slots.values()) if (isOpen) yield room;
  }

  /**
   * Returns the room of a show. `opening` is null if it is open, otherwise the one promise that all
   * callers share. A room that could not be opened is dropped, so that the next call tries again.
   */
  getOrOpen(showId: string): Result<{ room: Room; opening: Promise<Result<null>> | null }> {
    if (!this.slots.has(showId) && this.slots.size >= LIMITS.roomsPerNodeMax) {
      const message = 'This node has its maximum of shows in memory. Try again later.';
      return fail('at_capacity', message, { retryAfterMs: LIMITS.roomLingerMs });
    }
    const unknown = this.remembered(showId);
    if (unknown !== undefined) return ok({ room: unknown.room, opening: unknown.opened });
    const slot = this.slots.get(showId) ?? this.create(showId);
    return ok({ room: slot.room, opening: slot.isOpen ? null : slot.opened });
  }

  /** Closes a room without viewers after `roomLingerMs`, because viewers reload pages. */
  closeWhenUnused(room: Room): void {
    const slot = this.slots.get(room.showId);
    if (slot === undefined || slot.room !== room || room.viewers > 0) return;
    slot.linger.set(LIMITS.roomLingerMs);
  }

  async closeAll(): Promise<void> {
    const slots = [...this.slots.values()];
    this.slots.clear();
    await Promise.all(
      slots.map(async ({ room, linger }) => {
        linger.clear();
        await room.close();
      }),
    );
  }

  private remembered(showId: string): UnknownShow | undefined {
    const unknown = this.unknown.get(showId);
    return unknown !== undefined && unknown.untilMs > this.deps.clock.nowMs() ? unknown : undefined;
  }

  private create(showId: string): Slot {
    const room = new Room(showId, this.deps);
    const slot: Slot = {
      room,
      isOpen: false,
      linger: new Alarm(this.deps.clock, () => {
        if (room.viewers === 0) this.drop(room);
      }),
      opened: this.open(room).then((opened) => {
        if (opened.ok) slot.isOpen = true;
        else if (this.slots.get(showId) === slot) this.slots.delete(showId);
        if (!opened.ok && REMEMBERED.has(opened.error.code)) this.remember(room, slot.opened);
        if (opened.ok) this.closeWhenUnused(room);
        return opened;
      }),
    };
    this.slots.set(showId, slot);
    return slot;
  }

  /** Until then, connections get the same refusal without a Redis call. */
  private remember(room: Room, opened: Promise<Result<null>>): void {
    const nowMs = this.deps.clock.nowMs();
    this.unknown.delete(room.showId);
    this.unknown.set(room.showId, { room, opened, untilMs: nowMs + LIMITS.unknownShowMs });
    for (const [showId, { untilMs }] of this.unknown) {
      if (untilMs > nowMs && this.unknown.size <= LIMITS.unknownShowsKeptMax) return;
      this.unknown.delete(showId);
    }
  }

  private async open(room: Room): Promise<Result<null>> {
    try {
      return await room.open();
    } catch (error) {
      this.logError(room, error);
      this.close(room);
      return fail('internal');
    }
  }

  private close(room: Room): void {
    room.close().catch((error: unknown) => this.logError(room, error));
  }

  private logError({ showId }: Room, error: unknown): void {
    this.deps.logger.error({ err: error, show: showId }, 'a room could not be opened or closed');
  }

  private drop(room: Room): void {
    const slot = this.slots.get(room.showId);
    if (slot?.room === room) {
      slot.linger.clear();
      this.slots.delete(room.showId);
    }
    this.close(room);
  }
}
