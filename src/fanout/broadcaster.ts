/**
 * Publishes to a bounded number of viewers per turn of the event loop, so that requests and other
 * rooms are served in between: a `send` takes microseconds, a frame for ten thousand viewers tenths
 * of a second. A group gets its frames in order, and all queued ones in one turn: the server then
 * writes them with one `send` per viewer.
 */
import type { Clock } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import type { Variant } from '../protocol/messages.ts';
import type { BroadcastGroup, QueuedFrame, TopicLane } from './broadcast-groups.ts';

export interface Publisher {
  /** Sends to all subscribers of a topic. A frame for a large room goes to many topics. */
  publish(topic: string, bytes: Uint8Array, binary: boolean): void;
  /** Called once for each frame and variant in use, for any number of topics. */
  onFrame(lane: TopicLane, variant: Variant, bytes: number): void;
}

export class Broadcaster {
  readonly publisher: Publisher;
  private readonly clock: Clock;
  /** Groups with queued frames, each in one of the two: with events or state first, chat after. */
  private readonly urgent = new Set<BroadcastGroup>();
  private readonly deferred = new Set<BroadcastGroup>();
  private turn = 1;
  private viewersThisTurn = 0;
  private isTurnScheduled = false;
  private queued = 0;
  private served = 0;
  private readonly writeCallbacks: Array<{ readonly ticket: number; readonly run: () => void }> = [];

  constructor(publisher: Publisher, clock: Clock) {
    this.publisher = publisher;
    this.clock = clock;
  }

  /** Publishes at once if this turn has room, otherwise in a later turn. */
  publish(group: BroadcastGroup, lane: TopicLane, bytes: Uint8Array): void {
    const frame = { topic: group.topics[lane], bytes };
    if (lane === 'chat') group.chatKib += Math.ceil(bytes.length / 1024);
    if (group.queue.length === 0 && this.fits(group)) {
      this.countViewers(group);
      this.send(group, frame);
      return;
    }
    if (group.queue.length === 0) this.queued += 1;
    group.queue.push(frame);
    if (lane === 'main') this.deferred.delete(group);
    if (!this.urgent.has(group)) (lane === 'main' ? this.urgent : this.deferred).add(group);
    this.scheduleTurn();
  }

  /** Publishes the queued frames of a group now. */
  flush(group: BroadcastGroup): void {
    if (group.queue.length > 0) this.serve(group);
  }

  /** Runs a callback once everything published so far has been written. */
  afterWrites(run: () => void): void {
    if (this.served >= this.queued) this.clock.afterWrites(run);
    else this.writeCallbacks.push({ ticket: this.queued, run });
  }

  /** A group that was written to in this turn gets more frames with the same write. */
  private fits({ viewers, lastTurn }: BroadcastGroup): boolean {
    if (lastTurn === this.turn || this.viewersThisTurn === 0) return true;
    return this.viewersThisTurn + viewers <= LIMITS.publishViewersPerTurn;
  }

  private countViewers(group: BroadcastGroup): void {
    if (group.lastTurn !== this.turn) this.viewersThisTurn += group.viewers;
    group.lastTurn = this.turn;
    this.scheduleTurn();
  }

  private send({ variant }: BroadcastGroup, { topic, bytes }: QueuedFrame): void {
    this.publisher.publish(topic, bytes, variant !== 'json');
  }

  private serve(group: BroadcastGroup): void {
    this.urgent.delete(group);
    this.deferred.delete(group);
    this.served += 1;
    this.countViewers(group);
    for (const frame of group.queue.splice(0)) this.send(group, frame);
    for (let next = this.writeCallbacks[0]; next !== undefined && next.ticket <= this.served; ) {
      this.clock.afterWrites(next.run);
      this.writeCallbacks.shift();
      next = this.writeCallbacks[0];
    }
  }

  private scheduleTurn(): void {
    if (this.isTurnScheduled) return;
    this.isTurnScheduled = true;
    this.clock.afterWrites(() => {
      this.isTurnScheduled = false;
      this.turn += 1;
      this.viewersThisTurn = 0;
      for (const groups of [this.urgent, this.deferred]) {
        for (const group of groups) {
          if (!this.fits(group)) return this.scheduleTurn();
          this.serve(group);
        }
      }
    });
  }
}
