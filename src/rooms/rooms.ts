/**
 * The rooms of this node: opened by the first viewer, kept a while after the last, then forgotten.
 */

import type { Timer } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { Room, type RoomDeps } from './room.ts';

interface Slot {
  readonly room: Room;
  /** Resolves when the room serves, or could not be opened. */
  readonly opened: Promise<Result<null>>;
  serving: boolean;
  linger: Timer | null;
}

export class Rooms {
  private readonly deps: RoomDeps;
  private readonly slots = new Map<string, Slot>();

  constructor(deps: Omit<RoomDeps, 'onGone'> & { readonly onGone: (room: Room) => void }) {
    this.deps = {
      ...deps,
      onGone: (room) => {
        this.drop(room);
        deps.onGone(room);
      },
    };
  }

  get size(): number {
    return this.slots.size;
  }

  *[Symbol.iterator](): Iterator<Room> {
    for (const { room, serving } of this.slots.values()) if (serving) yield room;
  }

  /**
   * The room, and when it serves: null = now. Everybody who asks while it opens waits for the same
   * opening; a room that could not be opened is forgotten, so that the next one who asks tries
   * again.
   */
  getOrOpen(showId: string): Result<{ room: Room; opening: Promise<Result<null>> | null }> {
    if (!this.slots.has(showId) && this.slots.size >= LIMITS.roomsPerNodeMax) {
      return fail('at_capacity', 'This node has as many shows in memory as it may.', {
        retryAfterMs: LIMITS.roomLingerMs,
      });
    }
    const slot = this.slots.get(showId) ?? this.create(showId);
    return ok({ room: slot.room, opening: slot.serving ? null : slot.opened });
  }

  /** Nobody entered, or the last one left: the room lingers, because people reload pages. */
  closeWhenUnused(room: Room): void {
    const slot = this.slots.get(room.showId);
    if (slot === undefined || slot.room !== room || room.viewers > 0) return;
    const { clock } = this.deps;
    if (slot.linger !== null) clock.clearTimer(slot.linger);
    slot.linger = clock.setTimer(() => {
      slot.linger = null;
      if (room.viewers === 0) this.drop(room);
    }, LIMITS.roomLingerMs);
  }

  async closeAll(): Promise<void> {
    const slots = [...this.slots.values()];
    this.slots.clear();
    await Promise.all(
      slots.map(async ({ room, linger }) => {
        if (linger !== null) this.deps.clock.clearTimer(linger);
        await room.close();
      }),
    );
  }

  private create(showId: string): Slot {
    const room = new Room(showId, this.deps);
    const slot: Slot = {
      room,
      serving: false,
      linger: null,
      opened: room.open().then((opened) => {
        if (opened.ok) slot.serving = true;
        else if (this.slots.get(showId) === slot) this.slots.delete(showId);
        if (opened.ok) this.closeWhenUnused(room);
        return opened;
      }),
    };
    this.slots.set(showId, slot);
    return slot;
  }

  private drop(room: Room): void {
    const slot = this.slots.get(room.showId);
    if (slot?.room === room) {
      if (slot.linger !== null) this.deps.clock.clearTimer(slot.linger);
      this.slots.delete(room.showId);
    }
    void room.close();
  }
}
