/**
 * Checks what a run left behind against what its users received: looks into Redis with a plain
 * client, runs the program's `verify`, and compares.
 */
import type { SaleBooks } from '../../src/domain/sale.ts';
import { checkHistory, type Entry } from '../support/history-checker.ts';
import { holdsIn } from '../support/until.ts';
import { type Books, readBooks } from './books.ts';
import { checkChat } from './chat-checker.ts';
import { type EngineUnderTest, SHOW } from './engine-under-test.ts';
import { PER_BUYER, SKUS } from './flash-sale.ts';
import type { PlainClient } from './plain-client.ts';
import type { FaultBuyer, Users } from './virtual-users.ts';
import { checkWaitlist } from './waitlist-checker.ts';

export interface Verdict {
  accepted: number;
  confirmed: number;
  offers: number;
  /** Chat messages that were accepted. */
  chat: number;
  /** Accepted requests that did not survive, where the durability mode allows it. */
  lost: number;
  violations: string[];
  /** Facts that are no violations. */
  notes: string[];
}

export interface Allowances {
  /** Accepted requests from this time, up to the crash, may be lost (this machine's clock). */
  readonly mayBeLost?: Window;
  /** Clients whose connection held: they had every event one by one, without a snapshot. */
  readonly unbroken?: readonly PlainClient[];
}

type Window = { readonly fromMs: number; readonly toMs: number };

const CAUGHT_UP_MS_MAX = 15_000;
const VIEWS_MS_MAX = 4_000;
const CHECKS_MAX = 4;
/** Of one kind of violation. */
const REPORTED_MAX = 10;

/** Checks again while the books change: a recovery or an expiry belongs to the run. */
export async function checkRun(engine: EngineUnderTest, users: Users, allowances: Allowances = {}): Promise<Verdict> {
  const position = async (): Promise<string> => {
    const { epoch, offset, reservations } = await readBooks(engine.redis.admin);
    return JSON.stringify([epoch, offset, [...reservations]]);
  };
  for (let checks = 1; ; checks++) {
    const before = await position();
    const verdict = await checkOnce(engine, users, allowances);
    if (checks === CHECKS_MAX || (await position()) === before) return verdict;
  }
}

async function checkOnce(engine: EngineUnderTest, users: Users, allowances: Allowances): Promise<Verdict> {
  const { staged, history } = users.world;
  const { buyers, clients, writers } = users;
  const violations = await untilCaughtUp(engine, users);
  const books = await readBooks(engine.redis.admin);

  const { code, report, text } = await engine.verify();
  const found = report.violations.slice(0, 5).join('; ') || text.slice(0, 300);
  if (code !== 0) violations.push(`stampede verify ended with ${code}: ${found}`);
  const sales = await Promise.all(staged.sales.map(({ id }) => staged.office.getSale(SHOW, id)));
  violations.push(...sales.flatMap((sale) => checkBalance(sale, books)), ...checkLimits(books));

  const window = allowances.mayBeLost;
  const entries = window ? withUnknownWindow(history.entries, buyers, window) : history.entries;
  const rules = {
    allocated: Object.fromEntries(
      sales.map(({ id }) => [id, Object.fromEntries(SKUS.map((sku) => [sku, staged.units]))]),
    ),
    perBuyer: Object.fromEntries(sales.map(({ id }) => [id, PER_BUYER])),
  };
  for (const { kind, text } of checkHistory(entries, rules, books)) violations.push(`history: ${kind}: ${text}`);

  const replies = compareReplies(buyers, books, window);
  const chat = writers.flatMap((writer) => writer.accepted);
  const accepted = chat.filter(({ repliedAt }) => !within(repliedAt, window));
  violations.push(
    ...replies.violations,
    ...compareWaitlists(buyers, books, window).slice(0, REPORTED_MAX),
    ...compareEvents(clients, books, allowances).slice(0, REPORTED_MAX),
    ...(await inTime(() => checkChat(books, accepted, clients))),
    ...(await inTime(() => compareViews(users, sales, books))),
    ...clients.flatMap(({ problems }) => problems.map((problem) => `protocol: ${problem}`)),
  );
  const records = [...books.reservations.values()];
  return {
    accepted: buyers.reduce((sum, { grants }) => sum + grants.length, 0),
    confirmed: records.filter(({ state }) => state === 'confirmed').length,
    offers: records.filter(({ offer }) => offer).length,
    chat: chat.length,
    lost: replies.lost,
    violations,
    notes: [],
  };
}

/** All clients are connected and have reached the end of the log. */
async function untilCaughtUp({ redis }: EngineUnderTest, { clients }: Users): Promise<string[]> {
  let wrong: string[] = [];
  const isCaughtUp = async (): Promise<boolean> => {
    const { epoch, offset } = await readBooks(redis.admin);
    const late = clients.filter((client) => !client.connected || client.epoch !== epoch || client.offset !== offset);
    wrong = late.slice(0, 5).map((client) => {
      const connection = client.connected ? 'connected' : `closed with ${JSON.stringify(client.lastClose)}`;
      const position = `${client.epoch}/${client.offset}, the log ends at ${epoch}/${offset}`;
      return `I7: a client of ${client.node} (${connection}) is at ${position}`;
    });
    return late.length === 0;
  };
  await holdsIn(CAUGHT_UP_MS_MAX, isCaughtUp, 50);
  return wrong;
}

function checkBalance({ id, skus }: SaleBooks, { reservations }: Books): string[] {
  const wrong: string[] = [];
  for (const { sku, allocated, available, held, sold, withdrawn } of skus) {
    const counts = [available, held, sold, withdrawn];
    if (counts.some((count) => count < 0) || counts.reduce((sum, count) => sum + count, 0) !== allocated)
      wrong.push(`I1: ${sku}: ${counts} do not make ${allocated}`);
    for (const [state, units] of Object.entries({ held, confirmed: sold })) {
      const inState = [...reservations.values()].filter(({ sale, state: its }) => sale === id && its === state);
      const items = inState.flatMap(({ lines }) => lines.filter((line) => line.sku === sku));
      const counted = items.reduce((sum, { qty }) => sum + qty, 0);
      if (counted !== units) wrong.push(`I1: ${sku}: ${counted} units are ${state}, the books say ${units}`);
    }
  }
  return wrong;
}

function checkLimits({ reservations }: Books): string[] {
  const units = new Map<string, number>();
  for (const { user, state, lines } of reservations.values())
    if (state === 'held' || state === 'confirmed')
      for (const { qty } of lines) units.set(user, (units.get(user) ?? 0) + qty);
  const over = [...units].filter(([, has]) => has > PER_BUYER);
  return over.map(([user, has]) => `I2: ${user} has ${has} units, the limit is ${PER_BUYER}`);
}

const within = (at: number, window?: Window): boolean => !!window && at >= window.fromMs && at <= window.toMs;

/** What the durability mode may lose becomes unknown: it may have happened or not. */
function withUnknownWindow(entries: readonly Entry[], buyers: readonly FaultBuyer[], window: Window): Entry[] {
  const unsure = new Set<string>();
  for (const { user, grants, ended } of buyers) {
    for (const { key, repliedAt } of grants) if (within(repliedAt, window)) unsure.add(`${user} ${key}`);
    for (const [id, { repliedAt }] of ended) if (within(repliedAt, window)) unsure.add(id);
  }
  const operations = new Map<number, string>();
  return entries.map((entry) => {
    if ('invoke' in entry) {
      const { invoke } = entry;
      if (invoke.do === 'reserve') operations.set(entry.id, `${invoke.user} ${invoke.key}`);
      else if (invoke.do === 'confirm' || invoke.do === 'release') operations.set(entry.id, invoke.reservation);
      return entry;
    }
    const isUnsure = unsure.has(operations.get(entry.id) ?? '') && entry.done.type === 'ok';
    return isUnsure ? { id: entry.id, done: { type: 'unknown' } } : entry;
  });
}

/** Every accepted request is in the books, and the books have nothing that no buyer asked for. */
function compareReplies(buyers: readonly FaultBuyer[], { reservations }: Books, window?: Window) {
  const violations: string[] = [];
  const granted = new Set<string>();
  const waited = new Map<string, string>();
  let lost = 0;
  const missing = (repliedAt: number, text: string): void => {
    if (within(repliedAt, window)) lost++;
    else violations.push(`lost accept: ${text}`);
  };
  for (const { user, grants, offers, joins, ended, unresolved } of buyers) {
    for (const [key, { item }] of joins) waited.set(`${user} ${key}`, JSON.stringify([[item.sku, item.qty]]));
    for (const { reservation } of offers) {
      const record = reservations.get(reservation.id);
      // An offer may be seen long after Redis made it: its creation decides whether it may be lost.
      if (!record?.offer || record.user !== user)
        missing(reservation.createdAt, `${user} was offered ${reservation.id}, and the books do not have it`);
    }
    for (const { key, reservation, repliedAt } of grants) {
      granted.add(reservation.id);
      const record = reservations.get(reservation.id);
      if (!record) missing(repliedAt, `${user} was granted ${reservation.id} for ${key}, and the books do not have it`);
      else if (record.user !== user || record.key !== key)
        violations.push(`I4: ${record.id} of ${record.user} for ${record.key} was granted to ${user} for ${key}`);
    }
    for (const [id, { state, orderRef = 'no order', repliedAt }] of ended) {
      const received = `${state} (${orderRef})`;
      const record = reservations.get(id);
      const stored = record ? `${record.state} (${record.orderRef ?? 'no order'})` : received;
      if (stored !== received)
        missing(repliedAt, `${user} received that ${id} is ${received}, the books say ${stored}`);
    }
    if (unresolved.length > 0) violations.push(`no reply: ${user} never got the outcome of ${unresolved.join(', ')}`);
  }
  for (const [id, { user, key, offer, lines }] of reservations) {
    const isWaited = offer && waited.get(`${user} ${key}`) === JSON.stringify(lines.map(({ sku, qty }) => [sku, qty]));
    if (!granted.has(id) && !isWaited)
      violations.push(`unasked: the books have ${id} of ${user} for ${key}, which was granted to no buyer`);
  }
  return { lost, violations };
}

/** The waitlists by the ledger: in order, as in the books, and with all buyers who joined. */
function compareWaitlists(buyers: readonly FaultBuyer[], { ledger, waitlist }: Books, window?: Window): string[] {
  const { waiting, joined, violations } = checkWaitlist(ledger);
  const inBooks = waitlist.map((member) => member.replace(/^(.*)\/\d{16}\/(.*)$/, '$1 $2'));
  const wrong = [...violations];
  const inLedger = new Set<string>();
  for (const [list, waits] of waiting) {
    const entries = waits.map(({ user }) => `${list} ${user}`);
    for (const entry of entries) inLedger.add(entry);
    const stored = inBooks.filter((each) => each.startsWith(`${list} `));
    if (stored.join() !== entries.join()) wrong.push(`waitlist: the books have ${stored}, the ledger ${entries}`);
  }
  for (const entry of inBooks)
    if (!inLedger.has(entry)) wrong.push(`waitlist: ${entry} has an entry that is not in the ledger`);
  for (const { user, joins } of buyers)
    for (const [key, { joinedAt }] of joins)
      if (joinedAt !== null && !joined.has(`${user} ${key}`) && !within(joinedAt, window))
        wrong.push(`lost accept: ${user} joined the waitlist with ${key}, and the ledger has no such entry`);
  return wrong;
}

/** All clients received the events of the log at their offsets; unbroken ones received all. */
function compareEvents(clients: readonly PlainClient[], books: Books, { unbroken = [], mayBeLost }: Allowances) {
  const wrong: string[] = [];
  const last = [...books.events].slice(-6).map(([at, { type }]) => `${at} ${type}`);
  const end = `it ends at ${books.epoch}/${books.offset} with ${last}`;
  for (const { node, events } of clients)
    for (const { epoch, offset, at, type } of events) {
      if (mayBeLost && epoch !== books.epoch) continue; // The log may have lost its end.
      const logged = books.events.get(offset);
      if (logged?.at !== at || logged.type !== type)
        wrong.push(`I6: ${node} sent ${type} at ${epoch}/${offset}, the log has ${logged?.type ?? 'nothing'}; ${end}`);
    }
  for (const { losses, snapshots, lastClose, node } of unbroken) {
    if (losses > 0) wrong.push(`a connection broke that should have held: ${JSON.stringify(lastClose)}`);
    else if (snapshots > 0) wrong.push(`I7: a client on ${node} got ${snapshots} snapshots in place of events`);
  }
  return wrong;
}

/** Repeats a check for a while: state leaves at the next tick, personal messages separately. */
async function inTime(check: () => string[]): Promise<string[]> {
  await holdsIn(VIEWS_MS_MAX, () => check().length === 0, 50);
  return check().slice(0, REPORTED_MAX);
}

/** What the clients show at the end is what the books have. */
function compareViews({ clients, buyers, devices }: Users, sales: readonly SaleBooks[], books: Books) {
  const wrong: string[] = [];
  for (const { node, sales: shown } of clients)
    for (const { id, state, skus } of sales) {
      const seen = shown.get(id);
      if (seen?.state !== state) wrong.push(`view: a client on ${node} shows ${id} as ${seen?.state}, it is ${state}`);
      for (const { sku, available } of skus)
        if (seen?.left.get(sku) !== available)
          wrong.push(`view: a client on ${node} shows ${seen?.left.get(sku)} left of ${sku}, there are ${available}`);
    }
  for (const buyer of buyers) wrong.push(...compareOwn('the phone', buyer, books));
  for (const device of devices) wrong.push(...compareOwn('the second device', device, books));
  return wrong;
}

/** W-4, W-7: all devices of a buyer show its live reservations, and none that ended or was lost. */
function compareOwn(device: string, { user, client }: Users['devices'][number], { reservations }: Books): string[] {
  const wrong: string[] = [];
  for (const [id, { state }] of client.mine)
    if ((state === 'held' || state === 'confirmed') && !reservations.has(id))
      wrong.push(`view: ${device} of ${user} on ${client.node} shows ${id} as ${state}, it was lost`);
  for (const [id, { user: owner, state }] of reservations) {
    if (owner !== user) continue;
    const shown = client.mine.get(id)?.state ?? 'gone';
    const isLive = state === 'held' || state === 'confirmed';
    if (isLive ? shown !== state : shown === 'held' || shown === 'confirmed')
      wrong.push(`view: ${device} of ${user} on ${client.node} shows ${id} as ${shown}, it is ${state}`);
  }
  return wrong;
}
