/** A live show with records that cannot be read can be changed, ended and deleted (I9). */
import { connectStore } from '../../src/redis/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { HOST, MODES, outcome, pluck, StoreFixture, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';

const fixture = await StoreFixture.open('edm:');
const { test, client, time } = fixture;
let logged = '';
const destination = {
  write(line: string): void {
    logged += line;
  },
};
const logger = createLogger({ level: 'info', destination });
const store = await connectStore({ redis: fixture.redis.target, keyPrefix: fixture.prefix, ...MODES, logger });

/** Returns a live show with the sales `sale` (S, M) and `other`; ann holds one S of each. */
async function liveShow(): Promise<string> {
  const show = await fixture.openShow({ units: { S: 5, M: 5 } });
  await fixture.newSale(show, { id: 'other' });
  unwrap(await store.startShow(show, HOST));
  unwrap(await fixture.reserve(show, 'ann', { key: 'a' }));
  unwrap(await fixture.reserve(show, 'ann', { key: 'b', sale: 'other' }));
  await fixture.skipCommitCheck(show);
  logged = '';
  return show;
}
const isSold = async (show: string, sale: string, sku: string): Promise<boolean> =>
  (await fixture.reserve(show, 'bob', { key: `${sale}${sku}`, sale, sku })).ok;
const stateOf = (show: string) => client.hget(time.key(show, 'show'), 'state');
const ofAnotherType = (name: string) => async (show: string) => {
  await client.del(time.key(show, name));
  await client.set(time.key(show, name), 'junk');
};

const withForeignId = (show: string) => client.xadd(time.key(show, 'log'), '999999-7', 'x', 'y');

/** What is damaged, what the log names, and which sales still sell afterwards. */
const DAMAGES: Array<[name: string, damage: (show: string) => Promise<unknown>, logged: string]> = [
  ['a product', (show) => client.hset(time.key(show, 'products'), 'cap', 'junk'), ''],
  ['a sale', (show) => client.hset(time.key(show, 'sales'), 'sale', 'junk'), ':sales sale'],
  ['the stock of a SKU', (show) => client.hset(time.key(show, 'stock'), 'sale/S', 'junk'), ':sales sale'],
  ['its version', (show) => client.hset(time.key(show, 'show'), 'ver', 'junk'), ''],
  ...(['products', 'due'] as const).map((name): [string, (show: string) => Promise<unknown>, string] => [
    `${name} of another type`,
    ofAnotherType(name),
    '',
  ]),
  ['sales of another type', ofAnotherType('sales'), ':sales'],
  ['stock of another type', ofAnotherType('stock'), ':sales other'],
  ['recorded commands of another type', ofAnotherType('idem'), ''],
  ['the ledger of another type', ofAnotherType('ledger'), ':sales other'],
  ['the event log of another type', ofAnotherType('log'), ':log'],
  ['an event log with a foreign, higher id', (show) => withForeignId(show), ':log'],
];

for (const [name, damage, key] of DAMAGES)
  test(`a live show is ended and deleted although it has a record that cannot be read: ${name} (I9)`, async (t) => {
    const show = await liveShow();
    await damage(show);
    t.match(await store.endShow(show, HOST), { ok: true, value: { state: 'ended' } });
    t.equal(await stateOf(show), 'ended');
    if (key !== '') t.match(logged, `{${show}}${key}`, 'the log names it');
    t.match(await store.endShow(show, HOST), { ok: true }, 'again');
    for (const sale of ['sale', 'other']) t.equal(await isSold(show, sale, sale === 'sale' ? 'M' : 'S'), false, sale);
    t.equal(outcome(await archivesOf(store, temporaryFolder(t)).remove(show, { force: true })), 'ok');
    t.same(
      (await client.keys('*')).filter((one) => one.includes(`{${show}}`)),
      [],
    );
  });

test('a sale with a SKU that cannot be read ends, and its holds may be confirmed', async (t) => {
  const show = await liveShow();
  await client.hset(time.key(show, 'stock'), 'sale/M', 'junk');
  const events = unwrap(await store.endShow(show, HOST));
  t.equal(events.state, 'ended');
  const { sales } = unwrap(await store.load(show)).snapshot;
  t.match(sales, [{ id: 'other', state: 'ended' }], 'it is left out, as before');
  t.equal(outcome(await fixture.reserve(show, 'bob', { key: 'x' })), 'sale_ended');
  const [held] = (await fixture.reservationsOf(show, ['ann'])).flat().filter(({ sale }) => sale === 'sale');
  t.equal(outcome(await fixture.confirm(show, held as never)), 'ok');
});

test('an unreadable product is replaced, removed, and stops neither the show nor other products', async (t) => {
  const show = await liveShow();
  const product = { id: 'cap', brand: 'b', title: 'Cap', skus: [{ sku: 'C' }] };
  const breakIt = () => client.hset(time.key(show, 'products'), 'cap', 'junk');
  await breakIt();
  t.match(await store.updateShow(show, { title: 'New' }, HOST), { ok: true, value: { title: 'New' } });
  t.match(await store.getShow(show), { ok: true });
  t.equal(outcome(await store.pinProduct(show, 'p', HOST)), 'ok');
  t.equal(outcome(await store.pinProduct(show, 'none', HOST)), 'product_not_found');
  t.equal(outcome(await store.pinProduct(show, null, HOST)), 'ok');
  const unreadable: string[] = [];
  const listed = await store.listProducts(show, (id) => unreadable.push(id));
  t.same([pluck(unwrap(listed), 'id'), unreadable], [['p'], ['cap']], 'the list names it, and has the others');
  t.match(logged, `{${show}}:products cap`);
  unwrap(await store.putProduct(show, product, HOST));
  t.same(pluck(unwrap(await store.listProducts(show)), 'id').sort(), ['cap', 'p']);
  await breakIt();
  unwrap(await store.removeProduct(show, 'cap', HOST));
  t.same(pluck(unwrap(await store.listProducts(show)), 'id'), ['p']);
});

test('the log names a key of another type when a script needs it (I9)', async (t) => {
  for (const name of ['products', 'stock', 'ledger'] as const) {
    const show = await liveShow();
    await ofAnotherType(name)(show);
    await store.load(show);
    await store.createSale(show, fixture.saleSpec({ id: 'late' }), { key: 'late', actor: HOST });
    t.match(logged, `{${show}}:${name}"`, name);
  }
});

test('a list of sales has those that can be read, and names the others', async (t) => {
  const show = await liveShow();
  for (const [key, field] of [
    ['sales', 'sale'],
    ['stock', 'sale/M'],
  ] as const) {
    const before = (await client.hgetBuffer(time.key(show, key), field)) as Buffer;
    await client.hset(time.key(show, key), field, 'junk');
    const unreadable: string[] = [];
    const listed = await store.listSales(show, (id) => unreadable.push(id));
    t.same([pluck(unwrap(listed), 'id'), unreadable], [['other'], ['sale']], key);
    t.match(logged, `{${show}}:sales sale`);
    await client.hset(time.key(show, key), field, before);
  }
});

for (const [name, damage, after] of [
  ['of another type', ofAnotherType('log'), 'internal'],
  ['with a foreign, higher id', withForeignId, 'ok'],
] as const)
  test(`events that a log ${name} cannot keep are published, and the log names the key once (I6, I7)`, async (t) => {
    const [show, healthy] = [await liveShow(), await liveShow()];
    let messages = 0;
    const listener = { onMessage: () => void messages++, onResync: () => {} };
    const { unsubscribe } = unwrap(await store.subscribe(show, listener));
    await damage(show);
    t.match(await store.updateShow(show, { title: 'New' }, HOST), { ok: true, value: { title: 'New' } });
    unwrap(await store.updateShow(healthy, { title: 'New' }, HOST));
    t.match(await store.moveSale(show, 'sale', { op: 'end' }, { key: 'e', actor: HOST }), { ok: true });
    await until(async () => messages === 2, 'both changes arrive');
    const said = logged.split('\n').filter((line) => line.includes(`{${show}}:log`));
    t.match(said, { length: 1, 0: /another type, or a last id that is above the offset.*XDEL.*XSETID/ });
    const { epoch, offset } = unwrap(await store.load(show)).snapshot;
    const missed = await store.eventsAfter(show, epoch, offset - 2);
    t.equal(outcome(missed), after);
    if (missed.ok) t.equal(missed.value, null, 'they get a snapshot');
    const other = unwrap(await store.load(healthy)).snapshot;
    t.match(await store.eventsAfter(healthy, other.epoch, other.offset - 1), { value: [{ type: 'show.updated' }] });
    await unsubscribe();
  });

test('a ledger of another type refuses a call before its first write, and is logged once (I6)', async (t) => {
  const show = await liveShow();
  for (const user of ['b1', 'b2', 'b3', 'b4']) await fixture.hold(show, user);
  unwrap(await store.waitlist(show, { op: 'join', user: 'cyd', key: 'w', sale: 'sale', sku: 'S', qty: 1 }));
  const [held] = (await fixture.reservationsOf(show, ['b1'])).flat();
  await ofAnotherType('ledger')(show);
  const before = await fixture.recordsOf(show);
  const by = (key: string) => ({ key, actor: HOST });
  const wait = { key: 'v', sale: 'sale', sku: 'S', qty: 1 };
  const calls: Record<string, () => Promise<{ ok: boolean }>> = {
    'a hold': () => fixture.reserve(show, 'dan', { key: 'd', sku: 'M' }, store),
    'a refusal': () => fixture.reserve(show, 'dan', { key: 'r' }, store),
    'a release, with an offer to the waitlist': () => fixture.release(show, held as never, {}, store),
    'a wait': () => store.waitlist(show, { ...wait, op: 'join', user: 'eve' }),
    'an end of a wait': () => store.waitlist(show, { ...wait, op: 'leave', user: 'cyd' }),
    'a move': () => store.moveSale(show, 'sale', { op: 'pause' }, by('p')),
    'a sale': () => store.createSale(show, fixture.saleSpec({ id: 'late' }), by('late')),
  };
  for (const [name, call] of Object.entries(calls)) {
    t.match(await call(), { ok: false, error: { code: 'internal', message: /names its key/ } }, name);
    t.same(await fixture.recordsOf(show), before, `${name} has written nothing`);
  }
  t.equal(logged.split('\n').filter((line) => line.includes(`{${show}}:ledger`)).length, 1);
  t.notMatch(logged, /Redis refused a command/);
});

test('a version that cannot be read is counted again, and two changes at once are both applied', async (t) => {
  const show = await liveShow();
  for (const ver of ['junk', '', '1e400', '9'.repeat(20), '-1']) {
    await client.hset(time.key(show, 'show'), 'ver', ver);
    const changes = [
      store.updateShow(show, { title: `T${ver}` }, HOST),
      store.updateShow(show, { slowModeMs: 7 }, HOST),
    ];
    for (const changed of await Promise.all(changes)) t.equal(outcome(changed), 'ok', ver);
    t.match(unwrap(await store.getShow(show)), { title: `T${ver}`, slowModeMs: 7 });
    t.equal(await client.hget(time.key(show, 'show'), 'ver'), '2');
    unwrap(await store.updateShow(show, { slowModeMs: 0 }, HOST));
  }
});

test('force deletes a live show that has a key of another type, and no other live show', async (t) => {
  const archives = archivesOf(store, temporaryFolder(t));
  for (const [name, isDeleted] of [
    ...(['products', 'sales', 'stock', 'idem', 'idem-old', 'due', 'log', 'ledger'] as const).map((one) => [one, true]),
    ['', false],
  ] as Array<[string, boolean]>) {
    const show = await liveShow();
    if (name !== '') await ofAnotherType(name)(show);
    t.equal(outcome(await archives.remove(show)), 'illegal_move', `${name} without force`);
    t.equal(outcome(await archives.remove(show, { force: true })), isDeleted ? 'ok' : 'illegal_move', name);
    t.equal(await stateOf(show), isDeleted ? null : 'live');
  }
  await store.close();
});
