/**
 * What a run left behind, held against what its crowd was told. Looks into Redis with a plain
 * client, asks the program's own `verify`, and compares.
 */
import type { Redis } from 'ioredis';
import type { LedgerEntry } from '../../src/domain/ledger.ts';
import {
  eventOf,
  type ReservationRecord,
  unpackAll,
  unpackLedger,
  unpackReservation,
} from '../../src/redis/records.ts';
import { checkHistory, type Entry } from '../support/history-checker.ts';
import type { Buyer, Wanted } from './buyer.ts';
import { checkChat } from './chat-user.ts';
import { type House, KEY_PREFIX } from './engine-under-test.ts';
import { PER_BUYER, SALE, SKUS } from './flash-sale.ts';
import type { PlainClient } from './plain-client.ts';
import { must } from './plain-http.ts';
import type { Crowd } from './virtual-users.ts';
import { checkWaitlist } from './waitlist-checker.ts';

export interface Verdict {
  accepted: number;
  confirmed: number;
  /** Holds that were made for people in line. */
  offers: number;
  /** Chat messages that were accepted. */
  said: number;
  /** Answers that did not survive, where the mode allows it. */
  lost: number;
  violations: string[];
  /** Worth knowing, not wrong. */
  notes: string[];
}

export interface Allowances {
  /** What was answered from this moment on, up to the crash, may be gone (this machine's clock). */
  readonly mayBeLost?: { fromMs: number; toMs: number };
  /** Clients that never lost their line must have had every event one by one, not by a snapshot. */
  readonly unbroken?: readonly PlainClient[];
}

export interface Books {
  readonly epoch: string;
  readonly offset: number;
  readonly reservations: ReadonlyMap<string, ReservationRecord>;
  readonly events: ReadonlyMap<number, { at: number; type: string; data: Record<string, unknown> }>;
  /** What each script wrote into the ledger. */
  readonly ledger: ReadonlyArray<readonly LedgerEntry[]>;
  /** Members of the waitlist as they stand. */
  readonly waitlist: readonly string[];
  readonly chatLast: number;
}

const CAUGHT_UP_MS_MAX = 15_000;
const VIEWS_MS_MAX = 4_000;
const LOOKS_MAX = 4;

export async function readBooks(client: Redis, show: string): Promise<Books> {
  const key = (name: string): string => `${KEY_PREFIX}{${show}}:${name}`;
  const [epoch, offset, chatLast] = await client.hmget(key('show'), 'epoch', 'offset', 'chat_last');
  const packed = (await client.hgetallBuffer(key('reservations'))) as Record<string, Buffer>;
  const log = (await client.xrangeBuffer(key('log'), '-', '+')) as Array<[Buffer, Buffer[]]>;
  const ledger = (await client.xrangeBuffer(key('ledger'), '-', '+')) as Array<[Buffer, Buffer[]]>;
  const events = new Map<number, { at: number; type: string; data: Record<string, unknown> }>();
  for (const [, fields] of log) {
    const [at, moment, type, data] = unpackAll(fields[1] as Buffer);
    const event = eventOf(at, moment, type, data);
    events.set(event.offset, { at: event.at, type: event.type, data: event.data as Record<string, unknown> });
  }
  return {
    epoch: epoch ?? '',
    offset: Number(offset ?? 0),
    reservations: new Map(Object.entries(packed).map(([id, bytes]) => [id, unpackReservation(bytes)])),
    events,
    ledger: ledger.map(([, fields]) => unpackLedger(fields[1] as Buffer)),
    waitlist: await client.zrange(key('waitlist'), '0', '-1'),
    chatLast: Number(chatLast ?? 0),
  };
}

/**
 * Judges when nothing moves any more: what moved the books meanwhile (a recovery, a lapse) is
 * waited for and judged with the rest.
 */
export async function judge(house: House, crowd: Crowd, allowances: Allowances = {}): Promise<Verdict> {
  const redis = house.redis.client();
  const position = async (): Promise<string> => {
    const { epoch, offset, reservations } = await readBooks(redis, crowd.world.staged.show);
    return JSON.stringify([epoch, offset, [...reservations]]);
  };
  for (let looks = 1; ; looks++) {
    const before = await position();
    const verdict = await look(house, crowd, allowances);
    if (looks === LOOKS_MAX || (await position()) === before) return verdict;
  }
}

async function look(house: House, crowd: Crowd, allowances: Allowances): Promise<Verdict> {
  const { staged, history } = crowd.world;
  const violations: string[] = [];
  const notes: string[] = [];
  const redis = house.redis.client();
  const caughtUp = await everybodyCaughtUp(redis, crowd, staged.show);
  const books = await readBooks(redis, staged.show);
  violations.push(...caughtUp);

  const verified = await house.verify(staged.show);
  if (verified.code !== 0)
    violations.push(
      `stampede verify ended with ${verified.code}: ${verified.report.violations.slice(0, 5).join('; ') || verified.text.slice(0, 300)}`,
    );
  const sale = await must(staged.control, 'GET', `/v1/shows/${staged.show}/sales/${SALE}`);
  violations.push(...booksBalance(sale, books), ...limitsHeld(books));

  const window = allowances.mayBeLost;
  const entries = window ? withUnknownWindow(history.entries, crowd, window) : history.entries;
  const rules = {
    allocated: { [SALE]: Object.fromEntries(SKUS.map((sku) => [sku, staged.units])) },
    perBuyer: { [SALE]: PER_BUYER },
  };
  const last = [...books.reservations].map(
    ([id, { user, sale: of, lines, state, offer }]) =>
      [id, { user, sale: of, lines, state, offer: offer === true }] as const,
  );
  for (const { kind, text } of checkHistory(entries, rules, { reservations: new Map(last) }))
    violations.push(`history: ${kind}: ${text}`);

  const compared = compareAnswers(crowd.buyers, books, window);
  violations.push(
    ...compared.violations,
    ...linesHeld(crowd.buyers, books, window),
    ...eventsTold(crowd, books, allowances),
    ...(await inTime(() => chatHeard(crowd, books, window))),
    ...(await inTime(() => viewsAgree(crowd, sale, books, window !== undefined))),
  );
  for (const client of crowd.clients) violations.push(...client.problems.map((problem) => `protocol: ${problem}`));
  for (const { user, problems } of crowd.buyers) violations.push(...problems.map((problem) => `${user}: ${problem}`));
  return {
    accepted: crowd.buyers.reduce((sum, { grants }) => sum + grants.length, 0),
    confirmed: [...books.reservations.values()].filter(({ state }) => state === 'confirmed').length,
    offers: [...books.reservations.values()].filter(({ offer }) => offer).length,
    said: crowd.talkers.reduce((sum, { said }) => sum + said.length, 0),
    lost: compared.lost,
    violations,
    notes,
  };
}

/** Everybody is connected and stands where the log ends. */
async function everybodyCaughtUp(redis: Redis, { clients }: Crowd, show: string): Promise<string[]> {
  const until = Date.now() + CAUGHT_UP_MS_MAX;
  for (;;) {
    const [epoch, offset] = await redis.hmget(`${KEY_PREFIX}{${show}}:show`, 'epoch', 'offset');
    const late = clients.filter(
      (client) => !client.connected || client.epoch !== epoch || client.offset !== Number(offset),
    );
    if (late.length === 0) return [];
    if (Date.now() > until)
      return late
        .slice(0, 5)
        .map(
          (client) =>
            `I7: a client stands at ${client.epoch}/${client.offset} (connected: ${client.connected}, node ${client.node}, closed with ${JSON.stringify(client.lastClose)}), the log ends at ${epoch}/${offset}`,
        );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface SkuCounts {
  sku: string;
  allocated: number;
  available: number;
  held: number;
  sold: number;
  withdrawn: number;
}

function booksBalance(sale: Readonly<Record<string, unknown>>, { reservations }: Books): string[] {
  const wrong: string[] = [];
  for (const { sku, allocated, available, held, sold, withdrawn } of sale.skus as SkuCounts[]) {
    const counts = [available, held, sold, withdrawn];
    if (counts.some((count) => count < 0) || counts.reduce((sum, count) => sum + count, 0) !== allocated)
      wrong.push(`I1: ${sku}: ${counts} do not make ${allocated}`);
    const unitsIn = (state: string): number => {
      let units = 0;
      for (const reservation of reservations.values())
        if (reservation.state === state) for (const line of reservation.lines) if (line.sku === sku) units += line.qty;
      return units;
    };
    if (unitsIn('held') !== held)
      wrong.push(`I1: ${sku}: ${unitsIn('held')} units are in holds, the books say ${held}`);
    if (unitsIn('confirmed') !== sold)
      wrong.push(`I1: ${sku}: ${unitsIn('confirmed')} units are in orders, the books say ${sold}`);
  }
  return wrong;
}

function limitsHeld({ reservations }: Books): string[] {
  const units = new Map<string, number>();
  for (const { user, state, lines } of reservations.values())
    if (state === 'held' || state === 'confirmed')
      for (const { qty } of lines) units.set(user, (units.get(user) ?? 0) + qty);
  return [...units]
    .filter(([, has]) => has > PER_BUYER)
    .map(([user, has]) => `I2: ${user} has ${has} units, the limit is ${PER_BUYER}`);
}

type Window = { fromMs: number; toMs: number };
const within = (at: number, { fromMs, toMs }: Window): boolean => at >= fromMs && at <= toMs;

/** What the mode may lose counts as unknown: it may have happened or not. */
function withUnknownWindow(entries: readonly Entry[], { buyers }: Crowd, window: Window): Entry[] {
  const shaky = new Set<string>();
  for (const { user, grants, ended } of buyers) {
    for (const { key, answeredAt } of grants) if (within(answeredAt, window)) shaky.add(`${user} ${key}`);
    for (const [id, { answeredAt }] of ended) if (within(answeredAt, window)) shaky.add(id);
  }
  const operations = new Map<number, string>();
  return entries.map((entry) => {
    if ('invoke' in entry) {
      const { invoke } = entry;
      if (invoke.do === 'reserve') operations.set(entry.id, `${invoke.user} ${invoke.key}`);
      else if (invoke.do === 'confirm' || invoke.do === 'release') operations.set(entry.id, invoke.reservation);
      return entry;
    }
    return shaky.has(operations.get(entry.id) ?? '') && entry.done.type === 'ok'
      ? { id: entry.id, done: { type: 'unknown' } }
      : entry;
  });
}

/** Every answer is in the books, and nothing is in the books that nobody was told. */
function compareAnswers(
  buyers: readonly Buyer[],
  { reservations }: Books,
  window: Window | undefined,
): { lost: number; violations: string[] } {
  const violations: string[] = [];
  const granted = new Set<string>();
  let lost = 0;
  const missing = (answeredAt: number, text: string): void => {
    if (window && within(answeredAt, window)) lost++;
    else violations.push(`lost accept: ${text}`);
  };
  const waited = new Map<string, Wanted>();
  for (const { user, grants, offers, joins, ended, unresolved } of buyers) {
    for (const [key, { line }] of joins) waited.set(`${user} ${key}`, line);
    for (const { reservation } of offers) {
      const record = reservations.get(reservation.id);
      // Noticed on the screen perhaps long after it was made: what may be lost goes by when Redis
      // made it.
      if (!record?.offer || record.user !== user)
        missing(reservation.createdAt, `${user} was offered ${reservation.id}, and the books do not have it`);
    }
    for (const { key, reservation, answeredAt } of grants) {
      granted.add(reservation.id);
      const record = reservations.get(reservation.id);
      if (!record)
        missing(answeredAt, `${user} was granted ${reservation.id} for ${key}, and the books do not have it`);
      else if (record.user !== user || record.key !== key)
        violations.push(
          `I4: ${reservation.id} stands for ${record.user} and ${record.key}, it was granted to ${user} for ${key}`,
        );
    }
    for (const [id, { state, orderRef, answeredAt }] of ended) {
      const record = reservations.get(id);
      if (record && (record.state !== state || record.orderRef !== orderRef))
        missing(
          answeredAt,
          `${user} was told that ${id} is ${state} (${orderRef ?? 'no order'}), the books say ${record.state} (${record.orderRef ?? 'no order'})`,
        );
    }
    if (unresolved.length > 0)
      violations.push(`no answer: ${user} never got the last word on ${unresolved.join(', ')}`);
  }
  for (const [id, { user, key, offer, lines }] of reservations) {
    const wanted = offer ? waited.get(`${user} ${key}`) : undefined;
    if (
      !granted.has(id) &&
      !(wanted && lines.length === 1 && lines[0]?.sku === wanted.sku && lines[0]?.qty === wanted.qty)
    )
      violations.push(`unasked: the books have ${id} of ${user} for ${key}, and nobody was told so`);
  }
  return { lost, violations };
}

/**
 * The line as the ledger tells it: in order, as the books have it, and with everybody who was told
 * to stand in it.
 */
function linesHeld(buyers: readonly Buyer[], { ledger, waitlist }: Books, window: Window | undefined): string[] {
  const { standing, joined, violations } = checkWaitlist(ledger);
  const told = [...standing].flatMap(([place, line]) => line.map(({ user }) => `${place} ${user}`)).sort();
  const places = waitlist.map((member) => member.replace(/^(.*)\/\d{16}\/(.*)$/, '$1 $2'));
  const wrong = [...violations];
  for (const [place, line] of standing) {
    const inBooks = places.filter((each) => each.startsWith(`${place} `)).map((each) => each.slice(place.length + 1));
    const inLedger = line.map(({ user }) => user);
    if (inBooks.join() !== inLedger.join()) wrong.push(`line: in ${place} stand ${inBooks}, by the ledger ${inLedger}`);
  }
  for (const place of places)
    if (!told.includes(place)) wrong.push(`line: ${place} stands in line, and the ledger knows nothing of it`);
  for (const { user, joins } of buyers)
    for (const [key, { joinedAt }] of joins)
      if (joinedAt !== null && !joined.has(`${user} ${key}`) && !(window && within(joinedAt, window)))
        wrong.push(`lost accept: ${user} was told to stand in line for ${key}, and the ledger has no such place`);
  return wrong.slice(0, 10);
}

function chatHeard({ clients, talkers }: Crowd, { epoch, chatLast }: Books, window: Window | undefined): string[] {
  const accepted = talkers
    .flatMap(({ said }) => said)
    .filter(({ answeredAt }) => !(window && within(answeredAt, window)));
  return checkChat({ epoch, last: chatLast, accepted, clients }).slice(0, 10);
}

const lastOf = ({ epoch, offset, events }: Books): string =>
  `it ends at ${epoch}/${offset} with ${[...events].slice(-6).map(([at, { type }]) => `${at} ${type}`)}`;

/**
 * Everybody saw the same events as the log has, each in its place; a line that held had them all.
 */
function eventsTold({ clients }: Crowd, books: Books, { unbroken = [], mayBeLost }: Allowances): string[] {
  const wrong: string[] = [];
  for (const client of clients) {
    for (const { epoch, offset, at, type } of client.events) {
      if (mayBeLost && epoch !== books.epoch) continue; // its log may have lost its end
      const logged = books.events.get(offset);
      if (!logged || logged.at !== at || logged.type !== type)
        wrong.push(
          `I6: a client on ${client.node} saw ${type} at ${epoch}/${offset}, the log has ${logged?.type ?? 'nothing'} there; ${lastOf(books)}`,
        );
    }
  }
  for (const client of unbroken) {
    if (client.losses > 0) wrong.push(`a line broke that should have held: ${JSON.stringify(client.lastClose)}`);
    else if (client.snapshots > 0)
      wrong.push(`I7: a client on ${client.node} got ${client.snapshots} snapshots in place of events`);
  }
  return wrong.slice(0, 10);
}

/** Newest values leave at a tick and personal news on its own way: a moment's patience. */
async function inTime(look: () => string[]): Promise<string[]> {
  const until = Date.now() + VIEWS_MS_MAX;
  for (;;) {
    const wrong = look();
    if (wrong.length === 0 || Date.now() > until) return wrong;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What stands on people's screens in the end is what stands in the books. */
function viewsAgree(
  { clients, buyers, devices }: Crowd,
  sale: Readonly<Record<string, unknown>>,
  { reservations }: Books,
  afterLoss: boolean,
): string[] {
  const wrong: string[] = [];
  for (const client of clients) {
    const seen = client.sales.get(SALE);
    if (seen?.state !== sale.state)
      wrong.push(`view: a client on ${client.node} shows the sale as ${seen?.state}, it is ${String(sale.state)}`);
    for (const { sku, available } of sale.skus as SkuCounts[])
      if (seen?.left.get(sku) !== available)
        wrong.push(
          `view: a client on ${client.node} shows ${seen?.left.get(sku)} left of ${sku}, there are ${available}`,
        );
  }
  if (!afterLoss) for (const screen of buyers) wrong.push(...ownView('the phone', screen, reservations));
  if (!afterLoss) for (const screen of devices) wrong.push(...ownView('the second device', screen, reservations));
  return wrong.slice(0, 10);
}

/** W-4: what is live stands on every screen of its owner, and what has ended on none. */
function ownView(
  which: string,
  { user, client }: { user: string; client: PlainClient },
  reservations: Books['reservations'],
): string[] {
  const wrong: string[] = [];
  for (const [id, { user: owner, state }] of reservations) {
    if (owner !== user) continue;
    const shown = client.mine.get(id)?.state ?? 'gone';
    const isLive = state === 'held' || state === 'confirmed';
    if (isLive ? shown !== state : shown === 'held' || shown === 'confirmed')
      wrong.push(
        `view: ${which} of ${user} on ${client.node} shows ${id} as ${shown}, it is ${state} (${client.losses} lines lost)`,
      );
  }
  return wrong;
}
