/**
 * Foreign bytes in every kind of record and in the relay, one at a time, beside a healthy show: a
 * request that needs them gets a code, and neither the process nor the healthy show is affected.
 */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import type { ArchiveSummary } from '../../src/domain/archive.ts';
import { ERRORS, type Result } from '../../src/protocol/codes.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import { createKeys, SHOW_KEYS, type ShowKey } from '../../src/redis/keys.ts';
import { pack } from '../../src/redis/records.ts';
import { outcome, times, unwrap } from '../support/store-fixture.ts';
import { startWorld, until } from './harness.ts';

t.setTimeout(300_000);
const died: unknown[] = [];
process.on('unhandledRejection', (reason) => died.push(reason));
process.on('uncaughtException', (error) => died.push(error));

const world = await startWorld(t);
const { store, openSale, join, connect } = world;
const client = world.redis.client();
const [indexKey = ''] = await client.keys('*:shows');
const prefix = indexKey.slice(0, -'shows'.length);
const keys = createKeys(prefix);
const by = () => ({ key: randomUUID(), actor: 'test' });
const healthySale = await openSale({ quantity: 1_000, perBuyer: 1_000 });
unwrap(await store.moveSale(world.show, healthySale, { op: 'extend', byMs: 600_000 }, by()));
const healthy = await join({ user: 'healthy' });

/** Damages one record of a show. */
type Damage = (key: string, field: string) => Promise<unknown>;
const inHash =
  (change: (bytes: Buffer) => Buffer): Damage =>
  async (key, field) =>
    client.hset(key, field, change((await client.hgetBuffer(key, field)) ?? Buffer.alloc(0)));
const damages: Record<string, Damage> = {
  junk: inHash(() => Buffer.from('junk')),
  'a number': inHash(() => pack(5)),
  'an empty array': inHash(() => pack([])),
  'invalid MessagePack': inHash(() => Buffer.from([0xc1, 0xff])),
  'cut bytes': inHash((bytes) => bytes.subarray(0, bytes.length >> 1)),
};

const SKUS = [{ sku: 's', product: 'p', price: 100, quantity: 1 }];
const saleOf = (id: string) => ({ id, title: 'Flash', currency: 'EUR', opensInMs: 0, durationMs: 60_000, skus: SKUS });

/** Makes a show in which every kind of record exists. */
async function newShow(): Promise<{ show: string; hold: string }> {
  const show = `d-${randomUUID().slice(0, 8)}`;
  const brands = [{ id: 'acme', name: 'Acme' }];
  unwrap(await store.createShow({ id: show, title: 'Show', brands, chatShownPerSecond: 100 }, 'test'));
  unwrap(await store.putProduct(show, { id: 'p', brand: 'acme', title: 'P', skus: [{ sku: 's' }] }, 'test'));
  unwrap(await store.startShow(show, 'test'));
  for (const id of ['sale', 'other']) unwrap(await store.createSale(show, saleOf(id), { key: id, actor: 'test' }));
  const [held] = await store.reserve(show, [{ user: 'ann', key: 'k', sale: 'sale', lines: [{ sku: 's', qty: 1 }] }]);
  unwrap(await store.waitlist(show, { op: 'join', user: 'bob', key: 'k', sale: 'sale', sku: 's', qty: 1 }));
  await store.reserve(show, [{ user: 'carl', key: 'k', sale: 'sale', lines: [{ sku: 's', qty: 1 }] }]);
  const chat = { node: 'n', at: 1, count: 1, items: pack([0, 0, 'Ann', 'hello']) };
  unwrap(await store.appendChat(show, chat, ['ann']));
  unwrap(await store.removeChat(show, [1]));
  unwrap(await store.appendChat(show, { ...chat, items: pack([0, 0, 'Ann', 'hi']) }, ['ann']));
  unwrap(await store.mute(show, 'eve', 60_000));
  unwrap(await store.reportCounts(show, 'n', 1, 1, ['ann']));
  return { show, hold: unwrap(held as NonNullable<typeof held>).reservation.id };
}

/** Makes every kind of request. Returns the codes; throws if a request rejects. */
async function useShow(from: ConnectedStore, show: string, hold: string): Promise<string[]> {
  const item = (sale: string) => ({ user: 'ann', key: randomUUID(), sale, lines: [{ sku: 's', qty: 1 }] });
  const { epoch } = { epoch: (await client.hget(keys.show(show).of.show, 'epoch').catch(() => null)) ?? '' };
  const results: Array<Result<unknown>> = [
    ...(await from.reserve(show, [item('sale'), item('other'), { ...item('sale'), user: 'dan' }])),
    ...(await Promise.all([
      ...[from.load(show), from.getShow(show), from.listShows(), from.listProducts(show), from.listSales(show)],
      ...[from.getSale(show, 'sale'), from.getReservation(show, hold), from.holdingsOf(show, ['ann', 'bob'])],
      ...[from.eventsAfter(show, epoch, 0), from.recentChat(show), from.mutes(show), from.viewerNumbers(show)],
      ...[from.verify(show), from.tick(show), from.tick(show, true), from.announce(show, 'hello', 'test', by())],
      ...[from.reportCounts(show, 'm', 2, 1, ['bob']), from.reportRefusals(show, 'n', 1, [])],
      from.appendChat(show, { node: 'n', at: 1, count: 1, items: pack([0, 0, 'A', 'x']) }, ['ann']),
      ...[from.removeChat(show, [2]), from.mute(show, 'x', 1_000), from.unmute(show, 'eve'), from.liveShows()],
    ])),
    await from.release(show, hold, { ...by(), user: 'ann' }),
    await from.waitlist(show, { op: 'leave', user: 'bob', key: 'k2', sale: 'sale', sku: 's' }),
    await from.moveSale(show, 'sale', { op: 'units', sku: 's', delta: 1 }, by()),
    await from.confirm(show, { reservation: hold, orderRef: 'o', amount: 100 }, by()),
    await from.createSale(show, saleOf('other'), { key: 'other', actor: 'test' }),
    await from.updateShow(show, { title: 'New' }, 'test'),
    await from.pinProduct(show, 'p', 'test'),
    await from.once(show, by(), {}, async () => from.getShow(show)),
    await from.reconcile(show, 'test'),
  ];
  return results.map(outcome);
}

let reserves = 0;
const healthyReserves = async (): Promise<boolean> =>
  (await healthy.reserve(healthySale, `h${reserves++}`))['t'] === 'ok';

/** Fields that are no MessagePack are damaged in one way. */
const NUMBERS =
  'epoch offset rev ver created state run hearts peak unique viewers chat_last live_sales joined idem_since format';
const PACKED: Partial<Record<ShowKey, string[]>> = {
  show: ['view', 'chat_window', 'refusal_samples'],
  products: ['p'],
  sales: ['sale'],
  stock: ['sale/s'],
  buyers: ['ann', 'bob'],
  nodes: ['n'],
  idem: ['test\0other'],
};

type Case = [name: string, run: () => Promise<unknown>];

/** Returns what to damage in each kind of record, by name. */
function casesOf(show: string, hold: string): Case[] {
  const { of } = keys.show(show);
  const packed = Object.entries({ ...PACKED, reservations: [hold] }) as Array<[ShowKey, string[]]>;
  return [
    ...packed.flatMap(([kind, fields]) =>
      fields.flatMap((field) =>
        Object.entries(damages).map(
          ([name, damage]): Case => [`${kind} ${field.replace(hold, 'ID')}: ${name}`, () => damage(of[kind], field)],
        ),
      ),
    ),
    ...NUMBERS.split(' ').map((field): Case => [`show ${field}: junk`, () => client.hset(of.show, field, 'junk')]),
    ...SHOW_KEYS.map((kind): Case => [`${kind}: a text`, () => client.set(of[kind], 'x')]),
    ...(['log', 'ledger', 'chat'] as const).flatMap((kind) =>
      [
        ['x', 'y'],
        ['e', 'junk'],
        ['h', 'junk', 'i', 'junk', 'a', 'junk'],
      ].map((fields): Case => [`${kind}: an entry ${fields.join(' ')}`, () => client.xadd(of[kind], '*', ...fields)]),
    ),
    ...(['due', 'removed', 'mutes', 'waitlist'] as const).map(
      (kind): Case => [`${kind}: a member`, () => client.zadd(of[kind], 1, 'junk')],
    ),
  ];
}

t.test('foreign bytes in a record cost the requests that need it a code, and no process (I9)', async (t) => {
  const cases = casesOf('show', 'hold').map(([name], i) => ({ name, i }));
  const count = cases.length;
  async function worker(): Promise<void> {
    for (let next = cases.pop(); next !== undefined; next = cases.pop()) {
      const { name, i } = next;
      const { show, hold } = await newShow();
      const viewer = await join({ show, token: world.token('ann', { show }) });
      await casesOf(show, hold)[i]?.[1]();
      const codes = await useShow(store, show, hold).catch((error: unknown) => [`rejected: ${String(error)}`]);
      const late = await connect({ show, token: world.token('bob', { show }), encoding: i % 2 ? 'json' : 'msgpack' });
      await late.find(({ t }) => t === 'welcome' || t === 'bye');
      const isFine =
        died.length === 0 && codes.every((code) => Object.hasOwn(ERRORS, code) || code === 'ok' || code === 'replayed');
      if (!isFine) t.fail(name, { died: died.splice(0), codes });
      t.ok(await healthyReserves(), `${name}: ${new Set(codes).size} outcomes`);
      late.terminate();
      viewer.terminate();
    }
  }
  await Promise.all(times(6, worker));
  t.ok(count > 90, `${count} kinds of damage`);
});

t.test('foreign bytes in an archived show cost its requests a code, and the job goes on (I9)', async (t) => {
  const summary = { show: 'x', sha256: 'hash', totals: {} } as unknown as ArchiveSummary;
  for (const state of ['ended', 'archiving', 'archived', 'deleting'])
    for (const field of ['view', 'archive', 'ended', 'purge', 'created', 'lease', 'live_sales'])
      for (const bytes of [pack(5), pack([]), Buffer.from('junk')]) {
        const show = `a-${randomUUID().slice(0, 8)}`;
        unwrap(await store.createShow({ id: show, title: 'Show' }, 'test'));
        unwrap(await store.endShow(show, 'test'));
        if (state !== 'ended') unwrap(await store.freezeShow(show, 'owner'));
        if (state === 'archived') {
          const frozen = unwrap(await store.freezeShow(show, 'owner'));
          if (frozen.step === 'frozen') unwrap(await store.finishArchive(show, frozen.show.token, summary, 60_000));
        }
        if (state === 'deleting') await client.hset(keys.show(show).of.show, 'state', 'deleting');
        await client.hset(keys.show(show).of.show, field, bytes);
        const uses = [
          () => store.freezeShow(show, 'owner'),
          ...[() => store.archiveOf(show), () => store.retentionOf(show, 1_000), () => store.listShows()],
          ...[() => store.getShow(show), () => store.thawShow(show, 'token'), () => store.purgeShow(show)],
          ...[() => store.finishArchive(show, 'token', summary, 1_000), () => store.condemnShow(show)],
          ...[() => store.createShow({ id: show, title: 'Show' }, 'test'), () => store.deleteShow(show)],
        ];
        const codes: string[] = [];
        for (const use of uses) codes.push(await use().then(outcome, (error: unknown) => `rejected: ${String(error)}`));
        const isFine = codes.every((code) => Object.hasOwn(ERRORS, code) || code === 'ok');
        if (!isFine) t.fail(`${state}: ${field} ${bytes.toString('hex')}`, { codes });
      }
  t.same(died.splice(0), []);
  t.ok((await store.dueRetention()).ok);
});

t.test('foreign bytes in the relay: the room synchronizes again, and other rooms go on (I7)', async (t) => {
  const { show, hold } = await newShow();
  const { channel } = keys.show(show).of;
  const listener = world.redis.client();
  const seen: Buffer[] = [];
  listener.on('smessageBuffer', (_channel: Buffer, bytes: Buffer) => seen.push(bytes));
  await listener.ssubscribe(channel);
  const watch = (encoding: 'json' | 'msgpack') => join({ show, token: world.token('ann', { show }), encoding });
  const viewers = [await watch('json'), await watch('msgpack')];
  await useShow(store, show, hold);
  const changed = (bytes: Buffer, at: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ 0x55;
    return copy;
  };
  const messages = ['c', 'm', 'n'].flatMap((kind) =>
    seen.filter((bytes) => bytes[0] === kind.charCodeAt(0)).slice(0, 3),
  );
  t.equal(new Set(messages.map(([kind]) => kind)).size, 3, 'all kinds of messages');
  const foreign = messages.flatMap((bytes) => [
    ...times(12, (i) => bytes.subarray(0, Math.floor((bytes.length * i) / 12))),
    ...times(24, (i) => changed(bytes, Math.floor((bytes.length * i) / 24))),
    Buffer.concat([bytes.subarray(0, 5), pack(5)]),
  ]);
  for (const [i, bytes] of [Buffer.from('junk'), ...foreign].entries()) {
    await client.spublish(channel, bytes as unknown as string);
    // A commit between them, so that what is applied wrongly is found.
    if (i % 20 === 0) await store.announce(show, `after ${i}`, 'test', by());
  }
  t.ok(await healthyReserves(), 'the healthy show takes a reserve');
  await store.announce(show, 'the last', 'test', by());
  const isCurrent = async (): Promise<boolean> => {
    const late = await watch('json');
    const { offset } = (await late.type('welcome')) as unknown as { offset: number };
    late.terminate();
    return offset === Number(await client.hget(keys.show(show).of.show, 'offset'));
  };
  await until(isCurrent, 'the room is current again', 15_000);
  t.same(died, [], 'the process survives');
  for (const viewer of viewers) viewer.terminate();
});
