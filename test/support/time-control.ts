/**
 * Moments that would take minutes to come, made to come now. Redis' own clock decides and cannot be
 * turned, so the moments are moved
 * instead: a plain client writes the deadline back, in the record and in the set of things due.
 * Only for quiet moments: it reads and writes in two steps.
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

  /**
   * The deadline of a hold is `agoMs` in the past. Its units are freed by the next script, once the
   * grace for confirms is over too.
   */
  async passDeadline(show: string, reservation: string, agoMs: number = LIMITS.confirmGraceMs + 1): Promise<void> {
    const heldUntil = (await this.#now()) - agoMs;
    await this.#change(show, 'reservations', reservation, (bytes) =>
      packReservation({ ...unpackReservation(bytes), heldUntil }),
    );
    await this.#client.zadd(this.key(show, 'due'), heldUntil + LIMITS.confirmGraceMs, reservation);
  }

  /**
   * The same for a show in full swing: one atomic command that touches no record, and none of a
   * hold that has ended meanwhile.
   */
  async passDeadlineUnderLoad(show: string, reservation: string): Promise<void> {
    await this.#client.zadd(this.key(show, 'due'), 'XX', 1, reservation);
  }

  /** Every open hold of the show has lapsed, though nobody has noticed yet. */
  async passAllDeadlines(show: string): Promise<number> {
    const members = (await this.#client.zrange(this.key(show, 'due'), 0, '-1')).filter((member) => member[1] !== ':');
    for (const member of members) await this.passDeadline(show, member);
    return members.length;
  }

  /** The planned moment of a sale has come, though nobody has noticed yet. */
  async passMoment(show: string, sale: string, which: 'opensAt' | 'closesAt', agoMs = 1): Promise<void> {
    const at = (await this.#now()) - agoMs;
    await this.#change(show, 'sales', sale, (bytes) => pack({ ...unpack<SaleRecord>(bytes), [which]: at }));
    await this.#client.zadd(this.key(show, 'due'), at, `${which === 'opensAt' ? 'o' : 'c'}:${sale}`);
  }

  /** The show was last written by another server process, as after a restart or a failover. */
  async changeServer(show: string): Promise<void> {
    await this.#client.hset(this.key(show, 'show'), 'run', 'another-process');
  }

  async isRecovering(show: string): Promise<boolean> {
    return (await this.#client.hexists(this.key(show, 'show'), 'recovering')) === 1;
  }

  /** The newest keys are remembered since `agoMs`. */
  async ageKeys(show: string, agoMs: number): Promise<void> {
    await this.#client.hset(this.key(show, 'show'), 'idem_since', String((await this.#now()) - agoMs));
  }
}
