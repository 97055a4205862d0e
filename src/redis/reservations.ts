/** Reservations: many decided in one call, one confirmed or released at a time. */
import { hash } from 'node:crypto';
import type { CommandMeta } from '../domain/command.ts';
import { MessagePackWriter } from '../domain/message-pack.ts';
import type {
  BuyerHoldings,
  ConfirmRequest,
  Decision,
  ReservationStore,
  ReserveRequest,
} from '../domain/reservation.ts';
import type { WaitlistRequest, WaitlistResult } from '../domain/waitlist.ts';
import { LIMITS } from '../limits.ts';
import { fail, failure, ok, type Result } from '../protocol/codes.ts';
import type { Item, ReservationView, WaitView } from '../protocol/messages.ts';
import {
  type FlatLines,
  linesOf,
  type PackedRequest,
  recordedAnswer,
  reservationRecord,
  reservationView,
  unpack,
  unpackReservation,
} from './records.ts';
import { refusal } from './sales.ts';
import { bufferOf, bytesOf, type ScriptSession, textOf } from './session.ts';

/**
 * A reservation's id follows from the buyer and the key, so a repeated request finds its own
 * reservation: the id is the idempotency record, kept as long as the show.
 */
export const reservationId = (showId: string, user: string, key: string): string => `r${idOf(showId, user, key)}`;

/**
 * Of the hold that a place in line may become; another first letter, so that no key of a reserve
 * can name it.
 */
const offerId = (showId: string, user: string, key: string): string => `w${idOf(showId, user, key)}`;

const idOf = (showId: string, user: string, key: string): string =>
  hash('sha256', `${showId}\0${user}\0${key}`, 'base64url').slice(0, 20);

/** Lines of the same SKU count together: each alone might fit where the sum does not. */
function mergedLines(lines: readonly Item[]): FlatLines {
  const [only] = lines;
  if (lines.length === 1 && only) return [only.sku, only.qty];
  const sums = new Map<string, number>();
  for (const { sku, qty } of lines) sums.set(sku, (sums.get(sku) ?? 0) + qty);
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).flat();
}

/** Answers how many bytes it took. */
function writeRequest(writer: MessagePackWriter, [user, id, state, offer, sale, lines, key]: PackedRequest): number {
  const before = writer.bytes;
  writer.arrayHeader(7).string(user).string(id).string(state).number(offer).string(sale).arrayHeader(lines.length);
  for (const value of lines) {
    if (typeof value === 'string') writer.string(value);
    else writer.number(value);
  }
  writer.string(key);
  return writer.bytes - before;
}

/** What the holds of one call that cost the same have in common. */
type Terms = [amount: number, currency: string, createdAt: number, heldUntil: number];

function newHold(
  [user, id, state, , sale, lines]: PackedRequest,
  [amount, currency, createdAt, heldUntil]: Terms,
): ReservationView {
  return { id, sale, user, state, lines: linesOf(lines), amount, currency, createdAt, heldUntil };
}

const wellFormed = ({ lines, key, user }: ReserveRequest): boolean =>
  lines.length > 0 &&
  lines.length <= LIMITS.linesPerReservationMax &&
  key.length > 0 &&
  key.length <= LIMITS.keyCharsMax &&
  user.length > 0 &&
  lines.every(
    ({ sku, qty }) => typeof sku === 'string' && Number.isInteger(qty) && qty > 0 && qty <= LIMITS.perBuyerUnitsMax,
  );

export class Reservations implements ReservationStore {
  readonly #session: ScriptSession;

  constructor(session: ScriptSession) {
    this.#session = session;
  }

  async reserve(showId: string, requests: readonly ReserveRequest[], origin = ''): Promise<Array<Result<Decision>>> {
    if (requests.length > LIMITS.reserveBatchMax)
      throw new RangeError(`a batch holds at most ${LIMITS.reserveBatchMax} requests, got ${requests.length}`);
    const good = requests.filter(wellFormed);
    const answers: Array<Result<Decision>> = good.length === 0 ? [] : await this.#decide(showId, good, origin);
    if (good.length === requests.length) return answers;
    let next = 0;
    return requests.map((request) =>
      wellFormed(request)
        ? (answers[next++] as Result<Decision>)
        : fail('invalid_request', 'lines: each a SKU and a whole quantity of at least 1.'),
    );
  }

  async #decide(showId: string, requests: readonly ReserveRequest[], origin: string): Promise<Array<Result<Decision>>> {
    const asked = requests.map(
      ({ user, key, sale, lines }): PackedRequest => [
        user,
        reservationId(showId, user, key),
        'held',
        0,
        sale,
        mergedLines(lines),
        key,
      ],
    );
    const writer = new MessagePackWriter();
    const sizes = asked.map((request) => writeRequest(writer, request));
    const reply = await this.#session.run('reserve', showId, [origin, sizes], bufferOf(writer.take()));
    if (!reply.ok) return requests.map(() => reply);
    const epoch = textOf(reply.value[0]);
    const [terms, ...answers] = unpack<[Terms[], ...unknown[]]>(bytesOf(reply.value[1]));
    const durability = this.#session.link.durability();
    return asked.map((request, i) => {
      const tag = answers[2 * i] as string;
      const value = answers[2 * i + 1];
      if (tag === '+')
        return ok({
          reservation: newHold(request, terms[(value as number) - 1] as Terms),
          replayed: false,
          durability,
          epoch,
        });
      if (tag === '=')
        return ok({ reservation: recordedAnswer(reservationRecord(value)), replayed: true, durability, epoch });
      return { ok: false, error: refusal(tag, value) };
    });
  }

  confirm(showId: string, request: ConfirmRequest, command: CommandMeta): Promise<Result<Decision>> {
    const { reservation, orderRef, amount } = request;
    return this.#finish(showId, command, {
      op: 'confirm',
      id: reservation,
      orderRef,
      amount,
      body: `confirm|${reservation}|${amount}|${orderRef}`,
    });
  }

  release(showId: string, reservation: string, command: CommandMeta & { user?: string }): Promise<Result<Decision>> {
    const { user } = command;
    return this.#finish(showId, command, {
      op: 'release',
      id: reservation,
      body: `release|${reservation}`,
      ...(user === undefined ? {} : { user }),
    });
  }

  async extendHold(
    showId: string,
    { reservation, byMs }: { reservation: string; byMs: number },
    command: CommandMeta,
  ): Promise<Result<Decision>> {
    if (!Number.isInteger(byMs) || byMs < 1 || byMs > LIMITS.holdMaxMs)
      return fail('invalid_request', `byMs: a whole number from 1 to ${LIMITS.holdMaxMs}.`, {
        details: { field: 'byMs' },
      });
    return this.#finish(showId, command, {
      op: 'extend',
      id: reservation,
      byMs,
      body: `prolong|${reservation}|${byMs}`,
    });
  }

  async waitlist(
    showId: string,
    { op, user, key, sale, sku, qty = 1 }: WaitlistRequest,
  ): Promise<Result<WaitlistResult>> {
    if (!Number.isInteger(qty) || qty < 1 || qty > LIMITS.perBuyerUnitsMax)
      return fail('invalid_request', 'qty: a whole number of at least 1.', { details: { field: 'qty' } });
    const args = {
      op,
      user,
      key,
      sale,
      sku,
      qty,
      id: offerId(showId, user, key),
      body: `${op}|${sale}|${sku}|${op === 'join' ? qty : ''}`,
    };
    const reply = await this.#session.run('waitlist', showId, args);
    if (!reply.ok) return reply;
    const word = textOf(reply.value[1]);
    const packed = bytesOf(reply.value[2]);
    if (word !== '+' && word !== '=') return { ok: false, error: refusal(word, unpack(packed)) };
    return ok({ ...unpack<{ place: number; waiting: number }>(packed), replayed: word === '=' });
  }

  async #finish(
    showId: string,
    { key, actor, onReplayed }: CommandMeta,
    args: Record<string, unknown>,
  ): Promise<Result<Decision>> {
    const reply = await this.#session.run('finish', showId, { ...args, key, actor });
    if (!reply.ok) return reply;
    const [epoch, tag, packed] = reply.value;
    const word = textOf(tag);
    if (word !== '+' && word !== '=') return { ok: false, error: refusal(word, unpack(bytesOf(packed))) };
    if (word === '=') onReplayed?.();
    return ok({
      reservation: reservationView(unpackReservation(bytesOf(packed))),
      replayed: word === '=',
      durability: this.#session.link.durability(),
      epoch: textOf(epoch),
    });
  }

  async getReservation(showId: string, id: string): Promise<Result<ReservationView>> {
    const read = await this.#session.guard(() =>
      this.#session.link.client.hgetBuffer(this.#session.keys.show(showId).of.reservations, id),
    );
    if (!read.ok) return read;
    return read.value
      ? ok(reservationView(unpackReservation(read.value)))
      : { ok: false, error: failure('reservation_not_found') };
  }

  async holdingsOf(showId: string, users: readonly string[]): Promise<Result<BuyerHoldings[]>> {
    const reply = await this.#session.run('mine', showId, users);
    if (!reply.ok) return reply;
    const lists = reply.value as Buffer[][];
    return ok(
      users.map((_, i) => ({
        reservations: (lists[3 * i] ?? []).map((bytes) => reservationView(unpackReservation(bytes))),
        waits: waitViews((lists[3 * i + 1] ?? []).map(String)),
        sales: (lists[3 * i + 2] ?? []).map(String),
      })),
    );
  }
}

/** Five texts each, as `mine.lua` lists them. */
function waitViews(flat: readonly string[]): WaitView[] {
  const views: WaitView[] = [];
  for (let i = 0; i + 4 < flat.length; i += 5) {
    const [sale = '', sku = '', qty, place, joinedAt] = flat.slice(i, i + 5);
    views.push({ sale, sku, qty: Number(qty), place: Number(place), joinedAt: Number(joinedAt) });
  }
  return views;
}
