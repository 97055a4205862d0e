/** Compares what clients received with the books, promise by promise. Pure functions. */
import { conservation } from '../../src/domain/ledger.ts';
import type { Check } from '../report/result.ts';
import type { Books } from './books.ts';
import { checkOf, whole } from './check.ts';
import type { Evidence, Grant } from './evidence.ts';
import { distinct, endsById, listed, mostAtOnce, unitsOf } from './grants.ts';
import { refusalCheck } from './refusals.ts';

/** Checks of a run with sales. */
export const checkSales = (evidence: Evidence, books: Books): Check[] => [
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

/** Checks of a run with viewers. */
export function checkConnections({ connections, requests }: Evidence): Check[] {
  const { events, connected, gaps, behind, chatGaps } = connections;
  const { sent, ignored, doubled } = requests;
  const lost = [
    ...unlessNone(gaps, `${gaps} events missing on open connections without a snapshot`),
    ...unlessNone(behind, `${behind} of ${connected} viewers do not have the newest event`),
  ];
  const silent = unlessNone(
    chatGaps,
    `${chatGaps} chat messages omitted on open connections and not announced as missed`,
  );
  const wrongReplies = [
    ...unlessNone(ignored, `${ignored} of ${sent} requests got no reply on an open connection`),
    ...unlessNone(doubled, `${doubled} requests got a second reply`),
  ];
  const received =
    `${whole(events)} events at ${whole(connected)} viewers, ` +
    `${whole(connections.snapshots)} snapshots, ${whole(connections.resumed)} resumed, 0 gaps`;
  const replied = `${whole(requests.replied)} replies to ${whole(sent)} requests, ${whole(requests.unknown)} cut off`;
  return [
    checkOf('events without a gap', 'I7', lost, received),
    checkOf('no chat lost silently', 'B-2', silent, `${whole(connections.missed)} omitted and announced`),
    checkOf('one reply per request', 'Q-5', wrongReplies, replied),
  ];
}

const unlessNone = (count: number, problem: string): string[] => (count > 0 ? [problem] : []);

/** Every viewer saw zero within `spreadMsMax` by its clock, which is synced with the server. */
export function checkZeros({ zeros }: Evidence, spreadMsMax: number): Check[] {
  if (zeros.length === 0) return [];
  const wrong: string[] = [];
  const right = zeros.map(({ sale, viewers, openedSeen, ...zero }) => {
    const byClock = Math.max(0, zero.clockLastMs - zero.clockFirstMs);
    const byEvent = Math.max(0, zero.openedLastMs - zero.openedFirstMs).toFixed(1);
    const clocks = `${sale}: ${byClock.toFixed(1)} ms`;
    if (byClock > spreadMsMax) wrong.push(`${clocks} between the first and the last viewer (at most ${spreadMsMax})`);
    return `${clocks} over ${whole(viewers)} clocks, opening within ${byEvent} ms at ${whole(openedSeen)} viewers`;
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
  const sum = (field: 'allocated' | 'sold' | 'held' | 'available' | 'withdrawn'): string =>
    whole(skus.reduce((units, sku) => units + sku[field], 0));
  const right =
    `${sum('allocated')} allocated = ${sum('sold')} sold + ${sum('held')} held + ` +
    `${sum('available')} free + ${sum('withdrawn')} withdrawn`;
  return checkOf('every unit accounted for', 'I1', [...new Set(wrong)], right);
}

function ledgerRight({ verification }: Books): Check {
  const { violations, entries, refusals, localRefusals } = verification;
  const right = `${whole(entries)} entries, ${whole(refusals)} refusals by Redis, ${whole(localRefusals)} by gateways`;
  return checkOf('the ledger replays to the books', 'I1 I2 I3', violations, right);
}

/** By the times in the replies, no SKU ever had more units held and sold than allocated. */
function neverTooMany({ grants, ends }: Evidence, { sales }: Books): Check {
  const known = distinct(grants);
  const endOf = endsById(ends);
  const wrong: string[] = [];
  for (const { id, skus } of sales)
    for (const { sku, allocated } of skus) {
      const own = [...known.values()].filter(({ sale }) => sale === id);
      const most = mostAtOnce(own, endOf, ({ lines }) => unitsOf(lines, sku));
      if (most > allocated) wrong.push(`${id}/${sku}: clients had ${most} units at once, there were ${allocated}`);
    }
  const right = `${whole(known.size)} reservations, ${sales.length === 1 ? 'one sale' : `${sales.length} sales`}`;
  return checkOf('nothing oversold, by the replies', 'I1', wrong, right);
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
    const { perBuyer: limit, skus } = sale;
    if (most() > limit) wrong.push(`${user} had ${most()} units of ${id} at once, the limit is ${limit}`);
    for (const { sku, perBuyer = Number.POSITIVE_INFINITY } of skus)
      if (most(sku) > perBuyer)
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
    const { user, sale, lines } = grant;
    if (view === null) wrong.push(`${id} was granted to ${user} and is unknown to the engine`);
    else if (view.user !== user || view.sale !== sale || listed(view.lines) !== listed(lines)) {
      const actual = `${view.user}, for ${listed(view.lines)} of ${view.sale}`;
      wrong.push(`${id} was granted to ${user} for ${listed(lines)} of ${sale} and belongs to ${actual}`);
    }
  }
  const { reservations } = verification;
  const granted = `clients were granted ${known.size}`;
  const lost = requests.openReserves;
  if (known.size > reservations) wrong.push(`${granted} reservations, the ledger has ${reservations}`);
  if (known.size + lost < reservations)
    wrong.push(`the ledger has ${reservations} reservations, ${granted} and lost at most ${lost} replies`);
  const right = `${whole(known.size)} granted, ${whole(reservations)} in the ledger, ${whole(looked.size)} looked up`;
  return checkOf('every accepted reservation is real', 'I8', wrong, right);
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
      const name = `${sale.id}/${sku}`;
      if (confirmed > sold) wrong.push(`${name}: clients know of ${confirmed} sold units, the books of ${sold}`);
      if (lost > 0) continue;
      // Holds may expire without a message to a client, so the books may hold less.
      if (held > open) wrong.push(`${name}: the books hold ${held} units, clients know of ${open}`);
      if (sold > confirmed + open)
        wrong.push(`${name}: the books sold ${sold} units, clients know of ${confirmed} and ${open} held`);
    }
  }
  const skus = verification.sales.reduce((sum, sale) => sum + sale.skus.length, 0);
  const right = `${whole(skus)} SKUs${lost > 0 ? `, ${whole(lost)} replies were lost` : ''}`;
  return checkOf('clients and books agree on every unit', 'I1 I8', wrong, right);
}

/** One reservation per key, one key per reservation, and repeated keys are marked as replayed. */
function keysKept({ grants }: Evidence): Check {
  const wrong: string[] = [];
  const byKey = new Map<string, Grant>();
  const byId = new Map<string, Grant>();
  let repeats = 0;
  for (const grant of grants) {
    const { user, key, reservation: id } = grant;
    const name = `${user} ${grant.sale} ${key}`;
    const before = byKey.get(name);
    const owner = byId.get(id);
    if (before !== undefined) {
      repeats++;
      if (before.reservation !== id) wrong.push(`${name} got ${before.reservation} and then ${id}`);
      else if (!before.replayed && !grant.replayed) wrong.push(`${id} was granted twice as new`);
    } else if (owner !== undefined)
      wrong.push(`${id} was given to ${owner.user} (key ${owner.key}) and to ${user} (key ${key})`);
    byKey.set(name, before ?? grant);
    byId.set(id, owner ?? grant);
  }
  const right = `${whole(byKey.size)} keys, ${whole(repeats)} repeated`;
  return checkOf('the same key gets the same result', 'I4', wrong, right);
}

function endedOnce({ ends }: Evidence, { looked }: Books): Check {
  const wrong: string[] = [];
  const reported = new Map<string, string>();
  for (const { reservation, state } of ends) {
    const before = reported.get(reservation);
    reported.set(reservation, before ?? state);
    if ((before ?? state) !== state) wrong.push(`${reservation} was reported as ${before} and as ${state}`);
  }
  for (const [id, state] of reported) {
    const view = looked.get(id);
    if (view && view.state !== state) wrong.push(`${id} was reported as ${state} and is ${view.state}`);
  }
  return checkOf('a reservation ends once', 'I3', wrong, `${whole(reported.size)} reported ends`);
}
