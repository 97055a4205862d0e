/**
 * Holds what the clients saw against the books, promise by promise. Pure: evidence and books in,
 * checks out. Nothing here knows how the engine works; a check that fails names the first cases.
 * `src/README.md` and the protocol say what is promised.
 */
import { conservation } from '../../src/domain/ledger.ts';
import type { Check } from '../report/result.ts';
import type { Books } from './books.ts';
import { checkOf, whole } from './check.ts';
import type { Evidence, Grant } from './evidence.ts';
import { distinct, endsById, listed, mostAtOnce, unitsOf } from './grants.ts';
import { refusalCheck } from './refusals.ts';

/** Checks of a run that sold. */
export function checkSales(evidence: Evidence, books: Books): Check[] {
  return [
    accountedFor(books),
    ledgerRight(books),
    neverTooMany(evidence, books),
    limitsKept(evidence, books),
    grantsReal(evidence, books),
    unitsAgree(evidence, books),
    keysKept(evidence),
    endedOnce(evidence, books),
    refusalCheck(evidence, books),
  ];
}

/** Checks of a run with viewers, selling or not. */
export function checkLines({ line, requests }: Evidence): Check[] {
  const lost: string[] = [];
  if (line.gaps > 0) lost.push(`${line.gaps} events missing on standing connections without a snapshot in their place`);
  if (line.behind > 0) lost.push(`${line.behind} of ${line.standing} viewers do not stand at the newest event`);
  const silent =
    line.chatGaps > 0 ? [`${line.chatGaps} chat messages left out on standing connections and not told as missed`] : [];
  const unanswered: string[] = [];
  if (requests.ignored > 0)
    unanswered.push(`${requests.ignored} of ${requests.sent} requests got no answer on a connection that stood`);
  if (requests.doubled > 0) unanswered.push(`${requests.doubled} requests got a second answer`);
  return [
    checkOf(
      'events without a gap',
      'I7',
      lost,
      `${whole(line.events)} events seen by ${whole(line.standing)} viewers, ${whole(line.snapshots)} snapshots, ${whole(line.resumed)} resumed, 0 gaps`,
    ),
    checkOf('no chat lost in silence', 'B-2', silent, `${whole(line.missed)} left out and told so`),
    checkOf(
      'one answer a request',
      'Q-5',
      unanswered,
      `${whole(requests.answered)} answers to ${whole(requests.sent)} requests, ${whole(requests.unknown)} cut off`,
    ),
  ];
}

/** Every viewer saw zero within `spreadMsMax`, by its own clock (which it set by the server's). */
export function checkZeros({ zeros }: Evidence, spreadMsMax: number): Check[] {
  if (zeros.length === 0) return [];
  const spread = (first: number, last: number): number => Math.max(0, last - first);
  const wrong = zeros.flatMap((zero) => {
    const byClock = spread(zero.clockFirstMs, zero.clockLastMs);
    return byClock > spreadMsMax
      ? [`${zero.sale}: ${byClock.toFixed(1)} ms between the first and the last viewer, allowed are ${spreadMsMax}`]
      : [];
  });
  const said = zeros.map(
    (zero) =>
      `${zero.sale}: ${spread(zero.clockFirstMs, zero.clockLastMs).toFixed(1)} ms over ${whole(zero.viewers)} clocks, the opening seen within ${spread(zero.openedFirstMs, zero.openedLastMs).toFixed(1)} ms by ${whole(zero.openedSeen)}`,
  );
  return [checkOf('zero seen together', 'I5', wrong, said.join('; '))];
}

function accountedFor({ verification, sales }: Books): Check {
  const wrong = verification.sales.flatMap(({ id, skus }) => skus.flatMap((books) => conservation(id, books)));
  for (const sale of sales) {
    const replayed = verification.sales.find(({ id }) => id === sale.id);
    if (replayed === undefined) wrong.push(`sale ${sale.id} is not in the verification`);
    for (const books of sale.skus) wrong.push(...conservation(sale.id, books));
  }
  const skus = verification.sales.flatMap((sale) => sale.skus);
  const sum = (of: (sku: (typeof skus)[number]) => number): string =>
    whole(skus.reduce((units, sku) => units + of(sku), 0));
  return checkOf(
    'every unit accounted for',
    'I1',
    [...new Set(wrong)],
    `${sum((sku) => sku.allocated)} allocated = ${sum((sku) => sku.sold)} sold + ${sum((sku) => sku.held)} held + ${sum((sku) => sku.available)} free + ${sum((sku) => sku.withdrawn)} withdrawn`,
  );
}

function ledgerRight({ verification }: Books): Check {
  const { violations, entries, refusals, localRefusals } = verification;
  return checkOf(
    'the ledger replays to the books',
    'I1 I2 I3',
    violations,
    `${whole(entries)} entries, ${whole(refusals)} refusals by Redis judged, ${whole(localRefusals)} by gateways`,
  );
}

/** By the times the clients were told, no SKU ever had more units held and sold than there were. */
function neverTooMany({ grants, ends }: Evidence, { sales }: Books): Check {
  const known = distinct(grants);
  const endOf = endsById(ends);
  const wrong: string[] = [];
  for (const sale of sales) {
    for (const { sku, allocated } of sale.skus) {
      const most = mostAtOnce(known.values(), endOf, (grant) =>
        grant.sale === sale.id ? unitsOf(grant.lines, sku) : 0,
      );
      if (most > allocated) wrong.push(`${sale.id}/${sku}: clients had ${most} units at once, there were ${allocated}`);
    }
  }
  return checkOf(
    'nothing oversold, by what clients were told',
    'I1',
    wrong,
    `${whole(known.size)} reservations, ${sales.length === 1 ? 'one sale' : `${sales.length} sales`}`,
  );
}

function limitsKept({ grants, ends }: Evidence, { sales }: Books): Check {
  const endOf = endsById(ends);
  const byBuyer = new Map<string, Grant[]>();
  for (const grant of distinct(grants).values()) {
    const name = `${grant.sale} ${grant.user}`;
    byBuyer.set(name, [...(byBuyer.get(name) ?? []), grant]);
  }
  const wrong: string[] = [];
  let fullest = 0;
  for (const own of byBuyer.values()) {
    const [{ sale: id, user }] = own as [Grant];
    const sale = sales.find((one) => one.id === id);
    if (sale === undefined) continue;
    const most = (sku?: string): number => mostAtOnce(own, endOf, ({ lines }) => unitsOf(lines, sku));
    fullest = Math.max(fullest, most());
    if (most() > sale.perBuyer)
      wrong.push(`${user} had ${most()} units of ${id} at once, the limit is ${sale.perBuyer}`);
    for (const { sku, perBuyer } of sale.skus)
      if (perBuyer !== undefined && most(sku) > perBuyer)
        wrong.push(`${user} had ${most(sku)} of ${id}/${sku} at once, the limit is ${perBuyer}`);
  }
  return checkOf('limits kept', 'I2', wrong, `most units one buyer had in a sale: ${fullest}`);
}

/** Each reservation a client was granted stands in the ledger, for that buyer and those units. */
function grantsReal({ grants, requests }: Evidence, { verification, looked }: Books): Check {
  const wrong: string[] = [];
  const known = distinct(grants);
  for (const [id, view] of looked) {
    const grant = known.get(id);
    if (grant === undefined) continue;
    if (view === null) wrong.push(`${id} was granted to ${grant.user} and is not known to the engine`);
    else if (view.user !== grant.user || view.sale !== grant.sale || listed(view.lines) !== listed(grant.lines))
      wrong.push(
        `${id} was granted to ${grant.user} for ${listed(grant.lines)} of ${grant.sale} and is ${view.user}'s, for ${listed(view.lines)} of ${view.sale}`,
      );
  }
  if (known.size > verification.reservations)
    wrong.push(`clients were granted ${known.size} reservations, the ledger has ${verification.reservations}`);
  if (known.size + requests.openReserves < verification.reservations)
    wrong.push(
      `the ledger has ${verification.reservations} reservations, clients were granted ${known.size} and wait for ${requests.openReserves} lost answers at most`,
    );
  return checkOf(
    'every accepted reservation is real',
    'I8',
    wrong,
    `${whole(known.size)} granted, ${whole(verification.reservations)} in the ledger, ${whole(looked.size)} looked up one by one`,
  );
}

/**
 * What clients know to be sold and held are the sold and held units of the books, SKU by SKU; lost
 * answers leave room upwards.
 */
function unitsAgree(evidence: Evidence, { verification, looked }: Books): Check {
  const ended = new Map(evidence.ends.map(({ reservation, state }) => [reservation, state]));
  for (const [id, view] of looked) if (view !== null && view.state !== 'held') ended.set(id, view.state);
  const room = evidence.requests.openReserves;
  const wrong: string[] = [];
  for (const sale of verification.sales) {
    const own = [...distinct(evidence.grants).values()].filter((grant) => grant.sale === sale.id);
    for (const { sku, sold, held } of sale.skus) {
      const units = (state: string | undefined): number =>
        own.reduce((sum, grant) => sum + (ended.get(grant.reservation) === state ? unitsOf(grant.lines, sku) : 0), 0);
      const [told, open] = [units('confirmed'), units(undefined)];
      if (told > sold) wrong.push(`${sale.id}/${sku}: clients know of ${told} sold units, the books of ${sold}`);
      // A hold may have lapsed without anybody hearing of it, so what is held is at most what
      // clients know to be open.
      if (held > open && room === 0)
        wrong.push(`${sale.id}/${sku}: the books hold ${held} units, clients know of ${open}`);
      if (sold > told + open && room === 0)
        wrong.push(`${sale.id}/${sku}: the books sold ${sold} units, clients know of ${told} sold and ${open} held`);
    }
  }
  const skus = verification.sales.reduce((sum, sale) => sum + sale.skus.length, 0);
  return checkOf(
    'clients and books agree on every unit',
    'I1 I8',
    wrong,
    `${whole(skus)} SKUs${room > 0 ? `, ${whole(room)} answers were lost` : ''}`,
  );
}

/**
 * One key, one reservation; one reservation, one key; and a repeated key is answered as repeated.
 */
function keysKept({ grants }: Evidence): Check {
  const wrong: string[] = [];
  const byKey = new Map<string, Grant>();
  const byId = new Map<string, Grant>();
  let repeats = 0;
  for (const grant of grants) {
    const name = `${grant.user} ${grant.sale} ${grant.key}`;
    const before = byKey.get(name);
    const owner = byId.get(grant.reservation);
    if (before !== undefined) {
      repeats++;
      if (before.reservation !== grant.reservation)
        wrong.push(`${name} was answered ${before.reservation} and then ${grant.reservation}`);
      else if (!before.replayed && !grant.replayed)
        wrong.push(`${grant.reservation} was decided twice as if it were new`);
    } else if (owner !== undefined)
      wrong.push(
        `${grant.reservation} was given to ${owner.user} (key ${owner.key}) and to ${grant.user} (key ${grant.key})`,
      );
    byKey.set(name, before ?? grant);
    byId.set(grant.reservation, owner ?? grant);
  }
  return checkOf(
    'the same key gets the same answer',
    'I4',
    wrong,
    `${whole(byKey.size)} keys, ${whole(repeats)} repeated`,
  );
}

function endedOnce({ ends }: Evidence, { looked }: Books): Check {
  const wrong: string[] = [];
  const told = new Map<string, string>();
  for (const { reservation, state } of ends) {
    const before = told.get(reservation);
    if (before !== undefined && before !== state)
      wrong.push(`${reservation} was told to be ${before} and to be ${state}`);
    told.set(reservation, before ?? state);
  }
  for (const [id, state] of told) {
    const view = looked.get(id);
    if (view && view.state !== state) wrong.push(`${id} was told to be ${state} and is ${view.state}`);
  }
  return checkOf('a reservation ends once', 'I3', wrong, `${whole(told.size)} ended, as far as anybody was told`);
}
