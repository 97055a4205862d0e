/** Compares what clients received with the books, promise by promise. Pure functions. */
import { conservation } from '../../src/domain/ledger.ts';
import type { Check } from '../report/result.ts';
import type { Books } from './books.ts';
import { checkOf, whole } from './check.ts';
import type { Evidence, Grant } from './evidence.ts';
import { distinct, endsById, listed, mostAtOnce, unitsOf } from './grants.ts';
import { refusalCheck } from './refusals.ts';

/** Checks of a run with sales. */
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

/** Checks of a run with viewers. */
export function checkConnections({ connections, requests }: Evidence): Check[] {
  const lost: string[] = [];
  if (connections.gaps > 0) lost.push(`${connections.gaps} events missing on open connections without a snapshot`);
  if (connections.behind > 0)
    lost.push(`${connections.behind} of ${connections.connected} viewers do not have the newest event`);
  const silent =
    connections.chatGaps > 0
      ? [`${connections.chatGaps} chat messages omitted on open connections and not announced as missed`]
      : [];
  const wrongReplies: string[] = [];
  if (requests.ignored > 0)
    wrongReplies.push(`${requests.ignored} of ${requests.sent} requests got no reply on an open connection`);
  if (requests.doubled > 0) wrongReplies.push(`${requests.doubled} requests got a second reply`);
  return [
    checkOf(
      'events without a gap',
      'I7',
      lost,
      `${whole(connections.events)} events at ${whole(connections.connected)} viewers, ` +
        `${whole(connections.snapshots)} snapshots, ${whole(connections.resumed)} resumed, 0 gaps`,
    ),
    checkOf('no chat lost silently', 'B-2', silent, `${whole(connections.missed)} omitted and announced`),
    checkOf(
      'one reply per request',
      'Q-5',
      wrongReplies,
      `${whole(requests.replied)} replies to ${whole(requests.sent)} requests, ${whole(requests.unknown)} cut off`,
    ),
  ];
}

/** Every viewer saw zero within `spreadMsMax` by its clock, which is synced with the server. */
export function checkZeros({ zeros }: Evidence, spreadMsMax: number): Check[] {
  if (zeros.length === 0) return [];
  const spread = (first: number, last: number): number => Math.max(0, last - first);
  const wrong = zeros.flatMap((zero) => {
    const byClock = spread(zero.clockFirstMs, zero.clockLastMs);
    return byClock > spreadMsMax
      ? [`${zero.sale}: ${byClock.toFixed(1)} ms between the first and the last viewer (at most ${spreadMsMax})`]
      : [];
  });
  const right = zeros.map((zero) => {
    const byClock = spread(zero.clockFirstMs, zero.clockLastMs).toFixed(1);
    const byEvent = spread(zero.openedFirstMs, zero.openedLastMs).toFixed(1);
    return (
      `${zero.sale}: ${byClock} ms over ${whole(zero.viewers)} clocks, ` +
      `opening within ${byEvent} ms at ${whole(zero.openedSeen)} viewers`
    );
  });
  return [checkOf('zero seen together', 'I5', wrong, right.join('; '))];
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
    `${sum((sku) => sku.allocated)} allocated = ${sum((sku) => sku.sold)} sold + ${sum((sku) => sku.held)} held + ` +
      `${sum((sku) => sku.available)} free + ${sum((sku) => sku.withdrawn)} withdrawn`,
  );
}

function ledgerRight({ verification }: Books): Check {
  const { violations, entries, refusals, localRefusals } = verification;
  return checkOf(
    'the ledger replays to the books',
    'I1 I2 I3',
    violations,
    `${whole(entries)} entries, ${whole(refusals)} refusals by Redis, ${whole(localRefusals)} by gateways`,
  );
}

/** By the times in the replies, no SKU ever had more units held and sold than allocated. */
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
    'nothing oversold, by the replies',
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

/** Each granted reservation is in the ledger, for that buyer and those units. */
function grantsReal({ grants, requests }: Evidence, { verification, looked }: Books): Check {
  const wrong: string[] = [];
  const known = distinct(grants);
  for (const [id, view] of looked) {
    const grant = known.get(id);
    if (grant === undefined) continue;
    if (view === null) wrong.push(`${id} was granted to ${grant.user} and is unknown to the engine`);
    else if (view.user !== grant.user || view.sale !== grant.sale || listed(view.lines) !== listed(grant.lines))
      wrong.push(
        `${id} was granted to ${grant.user} for ${listed(grant.lines)} of ${grant.sale} and belongs to ${view.user}, ` +
          `for ${listed(view.lines)} of ${view.sale}`,
      );
  }
  if (known.size > verification.reservations)
    wrong.push(`clients were granted ${known.size} reservations, the ledger has ${verification.reservations}`);
  if (known.size + requests.openReserves < verification.reservations)
    wrong.push(
      `the ledger has ${verification.reservations} reservations, clients were granted ${known.size} ` +
        `and lost at most ${requests.openReserves} replies`,
    );
  return checkOf(
    'every accepted reservation is real',
    'I8',
    wrong,
    `${whole(known.size)} granted, ${whole(verification.reservations)} in the ledger, ${whole(looked.size)} looked up`,
  );
}

/** Sold and held units agree between clients and books, SKU by SKU; lost replies allow more. */
function unitsAgree(evidence: Evidence, { verification, looked }: Books): Check {
  const ended = new Map(evidence.ends.map(({ reservation, state }) => [reservation, state]));
  for (const [id, view] of looked) if (view !== null && view.state !== 'held') ended.set(id, view.state);
  const lost = evidence.requests.openReserves;
  const wrong: string[] = [];
  for (const sale of verification.sales) {
    const own = [...distinct(evidence.grants).values()].filter((grant) => grant.sale === sale.id);
    for (const { sku, sold, held } of sale.skus) {
      const units = (state: string | undefined): number =>
        own.reduce((sum, grant) => sum + (ended.get(grant.reservation) === state ? unitsOf(grant.lines, sku) : 0), 0);
      const [confirmed, open] = [units('confirmed'), units(undefined)];
      if (confirmed > sold)
        wrong.push(`${sale.id}/${sku}: clients know of ${confirmed} sold units, the books of ${sold}`);
      // Holds may expire without a message to a client, so the books may hold less.
      if (held > open && lost === 0)
        wrong.push(`${sale.id}/${sku}: the books hold ${held} units, clients know of ${open}`);
      if (sold > confirmed + open && lost === 0)
        wrong.push(`${sale.id}/${sku}: the books sold ${sold} units, clients know of ${confirmed} and ${open} held`);
    }
  }
  const skus = verification.sales.reduce((sum, sale) => sum + sale.skus.length, 0);
  return checkOf(
    'clients and books agree on every unit',
    'I1 I8',
    wrong,
    `${whole(skus)} SKUs${lost > 0 ? `, ${whole(lost)} replies were lost` : ''}`,
  );
}

/** One reservation per key, one key per reservation, and repeated keys are marked as replayed. */
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
        wrong.push(`${name} got ${before.reservation} and then ${grant.reservation}`);
      else if (!before.replayed && !grant.replayed) wrong.push(`${grant.reservation} was granted twice as new`);
    } else if (owner !== undefined)
      wrong.push(
        `${grant.reservation} was given to ${owner.user} (key ${owner.key}) and to ${grant.user} (key ${grant.key})`,
      );
    byKey.set(name, before ?? grant);
    byId.set(grant.reservation, owner ?? grant);
  }
  return checkOf(
    'the same key gets the same result',
    'I4',
    wrong,
    `${whole(byKey.size)} keys, ${whole(repeats)} repeated`,
  );
}

function endedOnce({ ends }: Evidence, { looked }: Books): Check {
  const wrong: string[] = [];
  const reported = new Map<string, string>();
  for (const { reservation, state } of ends) {
    const before = reported.get(reservation);
    if (before !== undefined && before !== state)
      wrong.push(`${reservation} was reported as ${before} and as ${state}`);
    reported.set(reservation, before ?? state);
  }
  for (const [id, state] of reported) {
    const view = looked.get(id);
    if (view && view.state !== state) wrong.push(`${id} was reported as ${state} and is ${view.state}`);
  }
  return checkOf('a reservation ends once', 'I3', wrong, `${whole(reported.size)} reported ends`);
}
