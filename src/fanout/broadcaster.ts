/**
 * Publishes to a bounded number of viewers a turn of the event loop. A `send` costs microseconds,
 * so a frame for ten thousand viewers would keep everybody else's answers waiting for tenths of a
 * second; spread over turns, requests and other rooms come in between. A block of seats gets its
 * frames in order, and all that wait for it in one turn, which the server writes with one `send` a
 * viewer.
 */

import type { Clock } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import type { BroadcastGroup, Publisher, TopicLane } from './broadcast-groups.ts';

export class Broadcaster {
  readonly publisher: Publisher;
  private readonly clock: Clock;
  /**
   * Blocks for which frames wait: first those that wait for an event or for state, then those with
   * chat. Each is in one of them once.
   */
  private readonly soon = new Set<BroadcastGroup>();
  private readonly later = new Set<BroadcastGroup>();
  private turn = 1;
  private viewersThisTurn = 0;
  private turning = false;
  private queued = 0;
  private served = 0;
  private readonly awaited: Array<{ readonly ticket: number; readonly run: () => void }> = [];

  constructor(publisher: Publisher, clock: Clock) {
    this.publisher = publisher;
    this.clock = clock;
  }

  /** At once where this turn has room, otherwise in a later turn. */
  publish(seats: BroadcastGroup, lane: TopicLane, bytes: Uint8Array): void {
    const message = { topic: seats.topics[lane], bytes };
    if (lane === 'chat') seats.chatKib += Math.ceil(bytes.length / 1024);
    if (seats.waiting.length === 0 && this.fits(seats)) {
      this.count(seats);
      this.send(seats, message);
      return;
    }
    if (seats.waiting.length === 0) this.queued += 1;
    seats.waiting.push(message);
    if (lane === 'main') this.later.delete(seats);
    if (!this.soon.has(seats)) (lane === 'main' ? this.soon : this.later).add(seats);
    this.turnLater();
  }

  /** What waits for this block goes out now. */
  settle(seats: BroadcastGroup): void {
    if (seats.waiting.length > 0) this.serve(seats);
  }

  /** Runs once everything published up to now has been written. */
  afterWrites(run: () => void): void {
    if (this.served >= this.queued) this.clock.afterWrites(run);
    else this.awaited.push({ ticket: this.queued, run });
  }

  /** Who is written to in this turn already gets what else there is with the same write. */
  private fits({ taken, turn }: BroadcastGroup): boolean {
    return (
      turn === this.turn || this.viewersThisTurn === 0 || this.viewersThisTurn + taken <= LIMITS.publishViewersPerTurn
    );
  }

  private count(seats: BroadcastGroup): void {
    if (seats.turn !== this.turn) this.viewersThisTurn += seats.taken;
    seats.turn = this.turn;
    this.turnLater();
  }

  private send({ variant }: BroadcastGroup, { topic, bytes }: BroadcastGroup['waiting'][number]): void {
    this.publisher.publish(topic, bytes, variant !== 'json');
  }

  private serve(seats: BroadcastGroup): void {
    this.soon.delete(seats);
    this.later.delete(seats);
    this.served += 1;
    this.count(seats);
    for (const message of seats.waiting.splice(0)) this.send(seats, message);
    while ((this.awaited[0]?.ticket ?? Number.POSITIVE_INFINITY) <= this.served)
      this.clock.afterWrites(this.awaited.shift()?.run ?? (() => {}));
  }

  private turnLater(): void {
    if (this.turning) return;
    this.turning = true;
    this.clock.afterWrites(() => {
      this.turning = false;
      this.turn += 1;
      this.viewersThisTurn = 0;
      for (const queue of [this.soon, this.later]) {
        for (const seats of queue) {
          if (!this.fits(seats)) return this.turnLater();
          this.serve(seats);
        }
      }
    });
  }
}
