/** Reservations: reserved in batches; confirmed, released or extended one by one. */
import { hash } from 'node:crypto';
import type { CommandMeta } from '../domain/command.ts';
import { MessagePackWriter } from '../domain/message-pack.ts';
import {
  type BuyerHoldings,
  type Decision,
  NO_HOLDINGS,
  type ReservationStore,
  type ReserveRequest,
} from '../domain/reservation.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import type { Item, ReservationView, WaitView } from '../protocol/messages.ts';
import { commandReply, refusal } from './command-reply.ts';
import {
  type FlatItems,
  firstResult,
  itemsOf,
  type PackedRequest,
  type PackedReservation,
  readReservation,
  reservationView,
  type Terms,
  unpack,
} from './records.ts';
import { bufferOf, bytesOf, mapped, numberOf, type ScriptRunner, textOf } from './script-runner.ts';

const idOf = (showId: string, user: string, key: string): string =>
  hash('sha256', `${showId}\0${user}\0${key}`, 'base64url').slice(0, 20);

/**
 * Computed from buyer and key, so that a repeated request finds its own reservation: the id is the
 * idempotency record, kept as long as the show.
 */
export const reservationId = (showId: string, user: string, key: string): string => `r${idOf(showId, user, key)}`;

/** The id of a hold made from the waitlist; because of its first letter no reserve can have it. */
const offerId = (showId: string, user: string, key: string): string => `w${idOf(showId, user, key)}`;

/** Merges items of the same SKU: each alone might fit where the sum does not. */
function mergedItems(items: readonly Item[]): FlatItems {
  const [only] = items;
  if (items.length === 1 && only) return [only.sku, only.qty];
  const sums = new Map<string, number>();
  for (const { sku, qty } of items) sums.set(sku, (sums.get(sku) ?? 0) + qty);
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).flat();
}

/** Returns the number of bytes written. */
function writeRequest(writer: MessagePackWriter, [user, id, state, offer, sale, items, key]: PackedRequest): number {
  const before = writer.bytes;
  writer.arrayHeader(7).string(user).string(id).string(state).number(offer).string(sale).arrayHeader(items.length);
  for (const value of items) {
    if (typeof value === 'string') writer.string(value);
    else writer.number(value);
  }
  writer.string(key);
  return writer.bytes - before;
}

function newHold(
  [user, id, state, , sale, items]: PackedRequest,
  [amount, currency, createdAt, heldUntil]: Terms,
): ReservationView {
  return { id, sale, user, state, lines: itemsOf(items), amount, currency, createdAt, heldUntil };
}

const isUnits = (value: number, max: number): boolean => Number.isInteger(value) && value > 0 && value <= max;

const wrongField = (field: string, expected: string): Result<never> =>
  fail('invalid_request', `${field}: ${expected}.`, { details: { field } });

const isUnreadable = (result: Result<unknown>): boolean => !result.ok && result.error.details?.unreadable === true;

const isWellFormed = ({ lines, key, user }: ReserveRequest): boolean =>
  lines.length > 0 &&
  lines.length <= LIMITS.linesPerReservationMax &&
  key.length > 0 &&
  key.length <= LIMITS.keyCharsMax &&
  user.length > 0 &&
  lines.every(({ sku, qty }) => typeof sku === 'string' && isUnits(qty, LIMITS.perBuyerUnitsMax));

/** Reads {sale, sku, qty, position, joined at} for each wait, as `mine.lua` lists them. */
function waitViews(flat: readonly string[]): WaitView[] {
  const views: WaitView[] = [];
  for (let i = 0; i + 4 < flat.length; i += 5) {
    const [sale = '', sku = '', qty, place, joinedAt] = flat.slice(i, i + 5);
    views.push({ sale, sku, qty: Number(qty), place: Number(place), joinedAt: Number(joinedAt) });
  }
  return views;
}

export function createReservations(runner: ScriptRunner, holdMaxMs: number): ReservationStore {
  /** A record that only some requests of a batch need cannot be read: halves find them. */
  async function decideApart(
    showId: string,
    requests: readonly ReserveRequest[],
    origin: string,
  ): Promise<Array<Result<Decision>>> {
    const half = requests.length >> 1;
    const first = await decide(showId, requests.slice(0, half), origin);
    return [...first, ...(await decide(showId, requests.slice(half), origin))];
  }

  async function decide(
    showId: string,
    requests: readonly ReserveRequest[],
    origin: string,
  ): Promise<Array<Result<Decision>>> {
    const packed = requests.map(
      ({ user, key, sale, lines }): PackedRequest => [
        user,
        reservationId(showId, user, key),
        'held',
        0,
        sale,
        mergedItems(lines),
        key,
      ],
    );
    const writer = new MessagePackWriter();
    const sizes = packed.map((request) => writeRequest(writer, request));
    const reply = await runner.run('reserve', showId, [origin, sizes], bufferOf(writer.take()));
    if (!reply.ok && isUnreadable(reply) && requests.length > 1) return decideApart(showId, requests, origin);
    if (!reply.ok) return requests.map(() => reply);
    const epoch = textOf(reply.value[0]);
    const [terms, ...results] = unpack<[Terms[], ...unknown[]]>(bytesOf(reply.value[1]));
    const { reservations } = runner.keysOf(showId);
    const durability = runner.connection.durability;
    let made = 0;
    let units = 0;
    const decisions = packed.map((request, i): Result<Decision> => {
      const tag = results[2 * i] as string;
      const value = results[2 * i + 1];
      if (tag !== '+' && tag !== '=') return { ok: false, error: refusal(tag, value) };
      if (tag === '=')
        return runner.decoded(reservations, ok(value as PackedReservation), (record) => ({
          ...{ reservation: firstResult(record), replayed: true, durability, epoch },
        }));
      const reservation = newHold(request, terms[(value as number) - 1] as Terms);
      made += 1;
      for (const { qty } of reservation.lines) units += qty;
      return ok({ reservation, replayed: false, durability, epoch });
    });
    runner.countHolds('made', made, units);
    return decisions;
  }

  async function finish(
    showId: string,
    { key, actor, onReplayed }: CommandMeta,
    args: Record<string, unknown>,
  ): Promise<Result<Decision>> {
    const reply = await runner.run('finish', showId, { ...args, key, actor });
    if (!reply.ok) return reply;
    const [epoch, ...command] = reply.value;
    const durability = runner.connection.durability;
    const { idem } = runner.keysOf(showId);
    const done = commandReply<PackedReservation>(runner, idem, command, onReplayed);
    return runner.decoded(idem, done, ({ value, replayed }) => ({
      ...{ reservation: reservationView(value), replayed, durability, epoch: textOf(epoch) },
    }));
  }

  return {
    async reserve(showId, requests, origin = '') {
      if (requests.length > LIMITS.reserveBatchMax)
        throw new RangeError(`a batch holds at most ${LIMITS.reserveBatchMax} requests, got ${requests.length}`);
      const good = requests.filter(isWellFormed);
      const results = good.length === 0 ? [] : await decide(showId, good, origin);
      if (good.length === requests.length) return results;
      let next = 0;
      return requests.map((request) =>
        isWellFormed(request)
          ? (results[next++] as Result<Decision>)
          : fail('invalid_request', 'lines: each a SKU and a whole quantity of at least 1.'),
      );
    },

    async confirm(showId, { reservation: id, orderRef, amount }, command) {
      // The body is stored: its format stays.
      const body = `confirm|${id}|${amount}|${orderRef}`;
      const done = await finish(showId, command, { op: 'confirm', id, orderRef, amount, body });
      if (done.ok && !done.value.replayed) runner.onOrder?.(done.value.reservation.currency, amount);
      return done;
    },

    release(showId, id, { user, ...command }) {
      const onlyOf = user === undefined ? {} : { user };
      return finish(showId, command, { op: 'release', id, body: `release|${id}`, ...onlyOf });
    },

    async extendHold(showId, { reservation: id, byMs }, command) {
      if (!isUnits(byMs, holdMaxMs)) return wrongField('byMs', `a whole number from 1 to ${holdMaxMs} (HOLD_MAX)`);
      return finish(showId, command, { op: 'extend', id, byMs, holdMaxMs, body: `prolong|${id}|${byMs}` });
    },

    async waitlist(showId, { op, user, key, sale, sku, qty = 1 }) {
      if (!isUnits(qty, LIMITS.perBuyerUnitsMax)) return wrongField('qty', 'a whole number of at least 1');
      const id = offerId(showId, user, key);
      const body = `${op}|${sale}|${sku}|${op === 'join' ? qty : ''}`;
      const reply = await runner.run('waitlist', showId, { op, user, key, sale, sku, qty, id, body });
      if (!reply.ok) return reply;
      const done = commandReply<{ place: number; waiting: number }>(
        runner,
        runner.keysOf(showId).idem,
        reply.value.slice(1),
      );
      return mapped(done, ({ value, replayed }) => ({ ...value, replayed }));
    },

    async getReservation(showId, id) {
      const open = await runner.showIsOpen(showId);
      if (!open.ok && open.error.code !== 'show_not_found') return open;
      const key = runner.keysOf(showId).reservations;
      const read = await runner.guard((client) => client.hgetBuffer(key, id));
      if (!read.ok) return read;
      if (read.value === null) return fail('reservation_not_found');
      return runner.decoded(`${key} ${id}`, ok(read.value), (bytes) => reservationView(readReservation(bytes)));
    },

    async holdingsOf(showId, users) {
      const reply = await runner.run('mine', showId, users);
      return runner.decoded(runner.keysOf(showId).reservations, reply, ([count, ...found]) => {
        const holdings = new Array<BuyerHoldings>(numberOf(count)).fill(NO_HOLDINGS);
        for (let i = 0; i + 3 < found.length; i += 4) {
          const [index, records, waits, sales] = found.slice(i, i + 4) as [number, Buffer[], Buffer[], Buffer[]];
          holdings[index - 1] = {
            reservations: records.map((bytes) => reservationView(readReservation(bytes))),
            waits: waitViews(waits.map(String)),
            sales: sales.map(String),
          };
        }
        return holdings;
      });
    },
  };
}
