/**
 * Makes moments come that are minutes away. The Redis clock cannot be changed, so the moments are
 * moved into the past, in the record and in the set `due`. Not atomic: only while the show is idle.
 */
import type { Redis } from 'ioredis';
import { LIMITS } from '../../src/limits.ts';
import { pack, type SaleRecord, unpack, unpackReservation } from '../../src/redis/records.ts';
import { packReservation } from './packed-reservation.ts';

export class TimeControl {
  readonly #client: Redis;
  readonly #prefix: string;

  constructor(client: Redis, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  async #now(): Promise<number> {
    const [seconds, micros] = (await this.#client.time()) as [number | string, number | string];
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  }

  key(show: string, name: string): string {
    return `${this.#prefix}{${show}}:${name}`;
  }

  async #change(show: string, hash: string, field: string, change: (bytes: Buffer) => Buffer): Promise<void> {
    const bytes = await this.#client.hgetBuffer(this.key(show, hash), field);
    if (!bytes) throw new Error(`${hash} of ${show} has no ${field}`);
    await this.#client.hset(this.key(show, hash), field, change(bytes));
  }

  /** Moves a deadline to `agoMs` ago. After the grace the next script frees the units. */
  async passDeadline(show: string, reservation: string, agoMs: number = LIMITS.confirmGraceMs + 1): Promise<void> {
    const heldUntil = (await this.#now()) - agoMs;
    await this.#change(show, 'reservations', reservation, (bytes) =>
      packReservation({ ...unpackReservation(bytes), heldUntil }),
    );
    await this.#client.zadd(this.key(show, 'due'), heldUntil + LIMITS.confirmGraceMs, reservation);
  }

  /** The same in one atomic command, while the show is busy. Does nothing for a hold that ended. */
  async passDeadlineUnderLoad(show: string, reservation: string): Promise<void> {
    await this.#client.zadd(this.key(show, 'due'), 'XX', 1, reservation);
  }

  /** Passes the deadlines of all open holds. Returns their number. */
  async passAllDeadlines(show: string): Promise<number> {
    const members = (await this.#client.zrange(this.key(show, 'due'), 0, '-1')).filter((member) => member[1] !== ':');
    for (const member of members) await this.passDeadline(show, member);
    return members.length;
  }

  /** Moves a planned moment of a sale into the past. */
  async passMoment(show: string, sale: string, which: 'opensAt' | 'closesAt', agoMs = 1): Promise<void> {
    const at = (await this.#now()) - agoMs;
    await this.#change(show, 'sales', sale, (bytes) => pack({ ...unpack<SaleRecord>(bytes), [which]: at }));
    await this.#client.zadd(this.key(show, 'due'), at, `${which === 'opensAt' ? 'o' : 'c'}:${sale}`);
  }

  /** Ends the time in which a sale may not announce again whether it is sold out. */
  async passSoldOutPause(show: string, sale: string): Promise<void> {
    await this.#change(show, 'sales', sale, (bytes) => pack({ ...unpack<SaleRecord>(bytes), soldOutAt: 0 }));
    await this.#client.zadd(this.key(show, 'due'), 'XX', 1, `s:${sale}`);
  }

  /** Marks the show as last written by another Redis process, as after a restart or failover. */
  async changeServer(show: string): Promise<void> {
    await this.#client.hset(this.key(show, 'show'), 'run', 'another-process');
  }

  async isRecovering(show: string): Promise<boolean> {
    return (await this.#client.hexists(this.key(show, 'show'), 'recovering')) === 1;
  }

  /** Makes the newest idempotency records `agoMs` old. */
  async ageKeys(show: string, agoMs: number): Promise<void> {
    await this.#client.hset(this.key(show, 'show'), 'idem_since', String((await this.#now()) - agoMs));
  }
}
