/** Formats of shows in Redis: newer ones are refused, those of release 0.1.0 migrated (I10). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ArchiveSummary } from '../../../src/domain/archive.ts';
import { tickLiveShows, tickShow } from '../../../src/jobs/due-work.ts';
import { LIMITS } from '../../../src/limits.ts';
import type { Result } from '../../../src/protocol/codes.ts';
import type { ConnectedStore } from '../../../src/redis/index.ts';
import { createKeys } from '../../../src/redis/keys.ts';
import { pack, unpack } from '../../../src/redis/records.ts';
import { registerScripts, SCRIPT_NAMES } from '../../../src/redis/scripts.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { ROOT } from '../../support/root.ts';
import { byHost, HOST, MODES, outcome, pluck, StoreFixture, unitsMove, unwrap } from '../../support/store-fixture.ts';
import { TimeControl } from '../../support/time-control.ts';

const PREFIX = 'formats:';
const fixture = await StoreFixture.open(PREFIX);
const { test, showTest, saleTest, store, client, time, reserve, hold, confirm, move, ledger, eventsOf } = fixture;
const { recordsOf, connectAnother } = fixture;
const keys = createKeys(PREFIX);
const NEWER = String(LIMITS.showFormat + 1);
const formatOf = (show: string): Promise<string | null> => client.hget(time.key(show, 'show'), 'format');
const setFormat = (show: string, format: string) => client.hset(time.key(show, 'show'), 'format', format);
const serverOf = (show: string): Promise<string | null> => client.hget(time.key(show, 'show'), 'run');

showTest('a new show has the newest format, and nodes report with their counts that they know it', async (t, show) => {
  t.equal(await formatOf(show), String(LIMITS.showFormat));
  unwrap(await store.reportCounts(show, 'n', 1, 0));
  const report = unpack<number[]>((await client.hgetBuffer(time.key(show, 'nodes'), 'n')) as Buffer);
  t.same(report[2], LIMITS.showFormat);
});

saleTest('every script refuses a newer format, also under another server, and changes nothing', {}, async (t, show) => {
  await hold(show, 'ann');
  const server = (await serverOf(show)) ?? '';
  await setFormat(show, NEWER);
  const before = await recordsOf(show);
  const scripts = registerScripts(
    () => client,
    () => MODES,
  );
  const steps = ['freeze', 'thaw', 'finish', 'purge', 'condemn', 'delete'].map((op) => ({ op }));
  const ofScript: Record<string, object[]> = { archive: steps, show_create: [{ body: '', epoch: 'e', format: 1 }] };
  for (const name of SCRIPT_NAMES.filter((script) => script !== 'check'))
    for (const args of ofScript[name] ?? [[]])
      for (const run of [server, 'another', `~${server}`]) {
        const reply = await scripts.run(name, keys.show(show).all, run, pack(args), pack({}), pack({}));
        t.same(reply.map(String), ['format_newer'], `${name} ${JSON.stringify(args)}`);
      }
  t.same(await recordsOf(show), before);
  await setFormat(show, String(LIMITS.showFormat));
});

/** Makes each request of a store on a show. */
function requestsOf(of: ConnectedStore, show: string, held: string): Array<() => Promise<Result<unknown>>> {
  const sale = fixture.saleSpec({ id: 'new' });
  const chat = { node: 'n', at: 1, count: 1, items: pack([0, 0, 'A', 'x']) };
  const summary = { show, sha256: '', totals: {} } as unknown as ArchiveSummary;
  return [
    ...[() => reserve(show, 'bob', {}, of), () => of.load(show), () => of.getShow(show), () => of.listProducts(show)],
    ...[() => of.listSales(show), () => of.getSale(show, 'sale'), () => of.getReservation(show, held)],
    ...[() => of.holdingsOf(show, ['ann']), () => of.eventsAfter(show, 'epoch', 0), () => of.recentChat(show)],
    ...[() => of.mutes(show), () => of.viewerNumbers(show), () => of.verify(show), () => of.tick(show, true)],
    ...[() => of.announce(show, 'hi', HOST, byHost('hi')), () => of.reportCounts(show, 'n', 1, 1, ['ann'])],
    ...[() => of.reportRefusals(show, 'n', 1, []), () => of.appendChat(show, chat, ['ann'])],
    ...[() => of.removeChat(show, [1]), () => of.mute(show, 'x', 1_000), () => of.unmute(show, 'x')],
    () => of.release(show, held, { ...byHost('r'), user: 'ann' }),
    () => of.confirm(show, { reservation: held, orderRef: 'o', amount: 1 }, byHost('c')),
    () => of.waitlist(show, { op: 'join', user: 'bob', key: 'w', sale: 'sale', sku: 'S', qty: 1 }),
    ...[() => of.moveSale(show, 'sale', unitsMove(1), byHost('m')), () => of.createSale(show, sale, byHost('s'))],
    ...[
      () => of.updateShow(show, { title: 'New' }, HOST),
      () => of.startShow(show, HOST),
      () => of.endShow(show, HOST),
    ],
    ...[() => of.pinProduct(show, 'p', HOST), () => of.removeProduct(show, 'p', HOST)],
    ...[() => of.once(show, byHost('o'), {}, () => of.getShow(show)), () => of.reconcile(show, HOST)],
    ...[() => of.createShow({ id: show, title: 'Show' }, HOST), () => of.freezeShow(show, 'me')],
    ...[() => of.finishArchive(show, 'token', summary, 1_000), () => of.purgeShow(show), () => of.condemnShow(show)],
    ...[() => of.listBooked(show, { limit: 1 }), () => of.getOrder(show, held)],
    ...[() => of.changeOrder(show, held, { note: 'x' }), () => of.editSale(show, 'sale', { title: 'x' }, byHost('e'))],
    () => of.deleteSale(show, 'sale', byHost('d')),
    ...[() => of.deleteShow(show), () => of.freezeExport(show, 'token'), () => of.beginImport(show)],
  ];
}

saleTest('every request on a newer show gets format_newer, and the log names it once', {}, async (t, show) => {
  const lines: string[] = [];
  const logger = createLogger({ level: 'warn', destination: { write: (line: string) => void lines.push(line) } });
  const node = await connectAnother({ logger });
  const { id } = await hold(show, 'ann');
  const healthy = await fixture.openShow();
  await setFormat(show, NEWER);
  const before = await recordsOf(show);
  for (const request of requestsOf(node, show, id)) {
    const result = await request();
    t.match(result, { ok: false, error: { code: 'format_newer', retryAfterMs: Number } }, String(request));
  }
  t.same(await recordsOf(show), before, 'nothing is written');
  t.equal(lines.filter((line) => line.includes('newer release')).length, 1);
  t.match(lines[0], time.key(show, 'show'));

  t.notOk(pluck(unwrap(await node.listShows()).shows, 'id').includes(show), 'the list leaves it out');
  t.ok(pluck(unwrap(await node.listShows()).shows, 'id').includes(healthy));
  t.equal(outcome(await reserve(healthy, 'bob', {}, node)), 'ok', 'other shows go on');
  await tickShow(node, show);
  await tickLiveShows(node);
  t.ok(unwrap(await node.liveShows()).includes(show), 'jobs skip it, and a newer process finds it');
  t.match(await node.retentionOf(show, 1), { ok: true, value: { step: 'none' } });
  await setFormat(show, String(LIMITS.showFormat));
});

interface Dumps {
  ids: Record<string, string[]>;
  keys: Record<string, string>;
}
const { ids, keys: dumps }: Dumps = JSON.parse(readFileSync(join(ROOT, 'test/fixtures/shows-0.1.0.json'), 'utf8'));
let copies = 0;

/** Restores shows that release 0.1.0 made, in a store with another prefix. */
async function restored(): Promise<{
  old: ConnectedStore;
  prefix: string;
  key: (show: string, name: string) => string;
}> {
  const prefix = `old${++copies}:`;
  for (const [key, bytes] of Object.entries(dumps))
    await client.restore(key.replace('old:', prefix), 0, Buffer.from(bytes, 'base64'));
  // The outcome must not depend on the age of the fixture.
  for (const show of ['live', 'ended']) await new TimeControl(client, prefix).passAllDeadlines(show);
  const old = await connectAnother({ keyPrefix: prefix });
  return { old, prefix, key: (show, name) => `${prefix}{${show}}:${name}` };
}

const reportOf = (...values: number[]) => pack(values);
const nowMs = async (): Promise<number> => Math.floor(Number((await client.time())[0]) * 1000);

test('shows of release 0.1.0 are read as they are, and migrated by the first command', async (t) => {
  const { old, key } = await restored();
  const [order = ''] = ids.ended ?? [];
  t.equal(unwrap(await old.getReservation('ended', order)).state, 'confirmed');
  t.equal(await client.hexists(key('ended', 'show'), 'format'), 0, 'reading it changes nothing');

  for (const show of ['live', 'ended']) {
    unwrap(await old.tick(show));
    t.equal(await client.hget(key(show, 'show'), 'format'), '1');
    const verified = unwrap(await old.verify(show));
    t.same(verified.violations, []);
    t.equal(verified.refusals, 3, 'the refusals of 0.1.0 count');
  }
  const log = await client.xrangeBuffer(key('ended', 'log'), '-', '+');
  t.ok(log.length > 5);
  const ended = Number(await client.hget(key('ended', 'show'), 'ended'));
  const events = unwrap(await old.eventsAfter('ended', unwrap(await old.load('ended')).snapshot.epoch, 0)) ?? [];
  t.equal(ended, events.find(({ type }) => type === 'show.ended')?.at, 'it ended when its log says so');
  t.match(await old.retentionOf('ended', 5), { ok: true, value: { step: 'archive', at: ended + 5 } });
  t.equal(await client.hexists(key('live', 'show'), 'ended'), 0);

  const pay = { reservation: order, orderRef: 'order-1', amount: 100 };
  t.match(
    await old.confirm('ended', pay, byHost('pay')),
    { ok: true, value: { replayed: true } },
    'keys are kept (I4)',
  );
  t.equal(outcome(await old.moveSale('live', 'sale', unitsMove(5), byHost('more'))), 'ok');
  const [dan] = unwrap(await old.holdingsOf('live', ['dan']));
  t.match(dan?.reservations, [{ state: 'held', offer: true }], 'the waitlist goes on');
  t.same(unwrap(await old.verify('live')).violations, []);
  t.equal(unwrap(await old.freezeShow('ended', 'me')).step, 'frozen', 'it can be archived');
});

test('migrating is one step, and repeating it changes nothing', async (t) => {
  const { old, prefix, key } = await restored();
  const scripts = registerScripts(
    () => client,
    () => MODES,
  );
  const all = createKeys(prefix).show('ended').all;
  const migrate = async (run: string) => (await scripts.run('migrate', all, run, pack([]))).map(String);
  t.same(await migrate('another'), ['fenced'], 'a new server comes first');
  unwrap(await old.reportCounts('live', 'm', 0, 0));
  const run = (await client.hget(key('ended', 'show'), 'run')) ?? '';
  t.same(await migrate(run), ['ok', '+']);
  const fields = await client.hgetall(key('ended', 'show'));
  t.same(await migrate(run), ['ok', '=']);
  t.same(await client.hgetall(key('ended', 'show')), fields);
  await client.hdel(key('ended', 'show'), 'format', 'ended');
  await client.xtrim(key('ended', 'log'), 'MAXLEN', 0);
  t.same(await migrate(run), ['ok', '+']);
  const [newest] = await client.xrevrange(key('ended', 'ledger'), '+', '-', 'COUNT', 1);
  t.equal(await client.hget(key('ended', 'show'), 'ended'), newest?.[0].split('-')[0], 'without the log: the ledger');
});

test('while a node of 0.1.0 has viewers, a show keeps the format that it can read', async (t) => {
  const { old, prefix, key } = await restored();
  await client.hset(key('live', 'nodes'), 'old', reportOf(3, await nowMs()));
  const ask = (user: string, id: string) => ({ user, key: id, sale: 'sale', lines: [{ sku: 'S', qty: 1 }] });
  for (const [i, user] of ['xu', 'yo', 'zoe', 'zed', 'ali'].entries()) await old.reserve('live', [ask(user, `n${i}`)]);
  t.equal(await client.hexists(key('live', 'show'), 'format'), 0);
  const { epoch } = unwrap(await old.load('live')).snapshot;
  unwrap(await old.moveSale('live', 'sale', unitsMove(2), byHost('two')));
  const events = unwrap(await old.eventsAfter('live', epoch, 0)) ?? [];
  const stocked = events.filter(({ type }) => type === 'sale.stocked').at(-1);
  t.match(stocked?.data, { id: 'sale', sale: { id: 'sale', skus: Array } }, 'events have what either release reads');
  const verified = unwrap(await old.verify('live'));
  t.same(verified.violations, []);
  t.ok(verified.refusals > 3);
  const kinds = async (): Promise<string> =>
    (await client.xrangeBuffer(key('live', 'ledger'), '-', '+')).map(([, fields]) => String(fields[1])).join(' ');
  t.notMatch(await kinds(), /samples/, 'each refusal is an entry that 0.1.0 can verify');

  t.equal(outcome(await old.freezeShow('ended', 'me')), 'overloaded', 'it would write into the archive');
  const other = await connectAnother({ keyPrefix: prefix });
  unwrap(await other.createShow({ id: 'new', title: 'New' }, HOST));
  t.equal(Number(await client.hget(key('new', 'show'), 'format')), 0, 'all processes create shows that it can read');

  await client.hset(key('live', 'nodes'), 'old', reportOf(3, (await nowMs()) - LIMITS.nodeCountsTtlMs - 2_000));
  await client.del(createKeys(prefix).format(0));
  const late = await connectAnother({ keyPrefix: prefix });
  unwrap(await late.tick('live'));
  t.equal(await client.hget(key('live', 'show'), 'format'), '1', 'migrated when it is gone');
  for (const user of ['una', 'ugo', 'uli', 'uma']) await late.reserve('live', [ask(user, 'late')]);
  t.match(await kinds(), /samples/);
  t.same(unwrap(await old.verify('live')).violations, []);
});

test('while a process lives that knows only the format before, no show gets the newest one', async (t) => {
  const { old, prefix, key } = await restored();
  await client.set(createKeys(prefix).format(LIMITS.showFormat - 1), '1', 'PX', 60_000);
  const early = await connectAnother({ keyPrefix: prefix });
  unwrap(await early.tick('live'));
  unwrap(await early.createShow({ id: 'new', title: 'New' }, HOST));
  unwrap(await early.startShow('new', HOST));
  t.equal(Number(await client.hget(key('live', 'show'), 'format')), LIMITS.showFormat - 1);
  t.equal(Number(await client.hget(key('new', 'show'), 'format')), LIMITS.showFormat - 1);
  await client.del(createKeys(prefix).format(LIMITS.showFormat - 1));
  const late = await connectAnother({ keyPrefix: prefix });
  unwrap(await late.startShow('new', HOST));
  t.equal(unwrap(await late.updateShow('new', { title: 'Newer' }, HOST)).title, 'Newer');
  t.equal(await client.hget(key('new', 'show'), 'format'), String(LIMITS.showFormat));
  t.ok((await old.getShow('new')).ok);
});

saleTest('a sold-out sale and refusals of the newest format', { units: { S: 1 } }, async (t, show) => {
  await hold(show, 'ann');
  t.equal(outcome(await reserve(show, 'bob')), 'sold_out');
  t.match((await ledger(show)).at(-1), ['gate', 'sale']);
  const soldOut = (await eventsOf(show)).find(({ type }) => type === 'sale.sold_out');
  t.same(soldOut?.data, { id: 'sale' });
  t.equal(outcome(await confirm(show, unwrap(await reserve(show, 'ann')).reservation)), 'ok');
  t.equal(outcome(await move(show, unitsMove(1))), 'ok');
});

test('no SKU is added to a draft or removed while a process of the release before may run it', async (t) => {
  const prefix = 'kept:';
  await client.set(createKeys(prefix).format(LIMITS.showFormat - 1), '1');
  const kept = await connectAnother({ keyPrefix: prefix });
  unwrap(await kept.createShow({ id: 'g', title: 'G', brands: [{ id: 'b', name: 'B' }] }, HOST));
  const skus = [{ sku: 'S' }, { sku: 'M' }];
  unwrap(await kept.putProduct('g', { id: 'p', brand: 'b', title: 'P', skus }, HOST));
  unwrap(await kept.createSale('g', fixture.saleSpec({ id: 'd', durationMs: 60_000 }), byHost('c')));
  const addSkus = [{ sku: 'M', product: 'p', price: 1, quantity: 1 }];
  t.match(await kept.editSale('g', 'd', { addSkus }, byHost('e')), {
    error: { code: 'overloaded', details: { why: /0\.1\.0/ } },
  });
  t.equal(outcome(await kept.editSale('g', 'd', { title: 'New' }, byHost('f'))), 'ok');
  await client.del(createKeys(prefix).format(LIMITS.showFormat - 1));
});
