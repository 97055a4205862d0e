/** Every kind of key in Redis has an end (I9). A new kind in keys.ts needs an entry here. */
import t from 'tap';
import { createErasures } from '../../src/archive/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { ok } from '../../src/protocol/codes.ts';
import { createKeys, SHOW_KEYS } from '../../src/redis/keys.ts';
import { pack } from '../../src/redis/records.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { byHost, HOST, MODES, StoreFixture, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';

const fixture = await StoreFixture.open('end:');
const { store, client, time, hold, confirm, reserve, release } = fixture;
const keys = createKeys('end:');

/** What ends a key that is not of one show. */
const ENDS: Readonly<Record<Exclude<keyof typeof keys, 'show'>, string>> = {
  shows: 'an entry for each show, until it is deleted',
  publicShows: 'an entry for each public show, until it ends',
  live: 'an entry for each show in which something is due',
  resting: 'an entry for each show in which something is due later',
  retention: 'an entry for each show, until its keys are deleted',
  archives: 'one value',
  erasures: 'an entry for each user, until they are erased',
  eraser: 'expires',
  erased: 'expires',
  format: 'expires',
  relay: 'expires',
  node: 'expires',
  olderJobs: 'expires after release 0.1.0 has ended',
  running: 'expires',
  result: 'expires',
  memory: 'an entry for each hour of a week',
  server: 'one value',
};

const keysOf = async (show: string): Promise<string[]> =>
  (await client.keys('end:*')).filter((key) => key.includes(`{${show}}`)).sort();

/** Makes every key of a show: a sale with all that can happen to a hold, chat, moderation. */
async function fullShow(): Promise<string> {
  const show = await fixture.openShow({ perBuyer: 2, units: { S: 3 } });
  unwrap(await store.startShow(show, HOST));
  const [ann, bob] = [await hold(show, 'ann', { qty: 2 }), await hold(show, 'bob')];
  await reserve(show, 'cyd');
  for (const user of ['cyd', 'dan', 'eve'])
    unwrap(await store.waitlist(show, { op: 'join', user, key: 'w', sale: 'sale', sku: 'S', qty: 1 }));
  unwrap(await confirm(show, ann));
  await time.ageKeys(show, LIMITS.idempotencyTtlMs + 1);
  unwrap(await release(show, bob));
  const chat = { node: 'n', at: 1, count: 1, items: pack([0, 0, 'Ann', 'hello']) };
  unwrap(await store.appendChat(show, chat, ['ann']));
  unwrap(await store.appendChat(show, chat, ['ann']));
  unwrap(await store.removeChat(show, [1]));
  unwrap(await store.mute(show, 'bob', 60_000));
  unwrap(await store.reportCounts(show, 'n', 5, 3, ['ann', 'bob']));
  unwrap(await store.reportRefusals(show, 'n', 1, [{ sale: 'sale', code: 'sold_out', count: 1, offset: 1, rev: 1 }]));
  await client.hset(time.key(show, 'show'), 'line:sale/S', 'sale/S/0000000000000001/cyd');
  // An eraser that was killed left it.
  await client.xadd(time.key(show, 'rewrite'), '1-1', 'e', 'copy');
  return show;
}

t.test('each kind of key is listed with what ends it', async (t) => {
  t.same(Object.keys(keys).sort(), [...Object.keys(ENDS), 'show'].sort());
});

t.test('I9: every key of a show ends with its archive, and the rest with its deletion', async (t) => {
  const folder = temporaryFolder(t);
  const show = await fullShow();
  const made = SHOW_KEYS.filter((name) => name !== 'channel').map((name) => time.key(show, name));
  t.same(await keysOf(show), [...made].sort(), 'the show has every kind of key');
  unwrap(await store.once(show, byHost('update'), ['body'], async () => ok('done')));
  unwrap(await store.endShow(show, HOST));
  await time.passAllDeadlines(show);
  await fixture.skipCommitCheck(show);
  const archives = archivesOf(store, folder, { retentionMs: 60_000 });
  unwrap(await archives.archive(show));
  const header = time.key(show, 'show');
  for (const key of await keysOf(show)) {
    const ttlMs = await client.pttl(key);
    if (key === header) t.equal(ttlMs, -1, 'the header stays: it is listed');
    else t.ok(ttlMs > 0 && ttlMs <= LIMITS.idempotencyTtlMs, `${key} expires`);
  }
  t.notOk(
    (await client.hkeys(header)).some((field) => field.startsWith('line:')),
    'cursors have ended',
  );
  unwrap(await store.purgeShow(show));
  const others = async () => (await keysOf(show)).filter((key) => !key.startsWith(keys.result(show, '')));
  t.same(await others(), [header], 'what is left: the header, and recorded responses for a day');
  const bytes = (await client.memory('USAGE', header)) ?? 0;
  t.ok(bytes > 0 && bytes < 2_500, `an archived show has ${bytes} bytes`);
  unwrap(await archives.remove(show));
  t.same(await others(), []);
  for (const index of ['shows', 'live', 'resting', 'retention'] as const)
    t.notOk((await client.type(keys[index])) === 'zset' && (await client.zscore(keys[index], show)), index);
});

t.test('I9: a subscription that was renewed ends with its listener, and delivers once', async (t) => {
  const show = await fixture.newShow();
  const channels = () => client.call('PUBSUB', MODES.publish === 'sharded' ? 'SHARDCHANNELS' : 'CHANNELS', `*${show}*`);
  await fixture.skipCommitCheck(show);
  await until(async () => ((await channels()) as unknown[]).length === 0, 'the recorder has ended');
  let messages = 0;
  const listener = { onMessage: () => void messages++, onResync: () => {} };
  unwrap(await store.subscribe(show, listener));
  const { unsubscribe } = unwrap(await store.subscribe(show, listener));
  unwrap(await store.announce(show, 'hello', HOST));
  await until(async () => messages > 0, 'the message arrives');
  t.equal(messages, 1);
  await unsubscribe();
  await until(async () => ((await channels()) as unknown[]).length === 0, 'the subscription has ended');
});

t.test('I9: what is not of one show expires, or has a bound', async (t) => {
  const show = await fixture.newShow();
  await fixture.connectAnother({ node: 'n1' });
  unwrap(
    await store.once(show, byHost('key'), ['body'], async () => {
      const [marker = ''] = (await keysOf(show)).filter((key) => key.includes(':running:'));
      const ttlMs = await client.pttl(marker);
      t.ok(ttlMs > 0 && ttlMs <= LIMITS.commandMarkerMs, 'the marker of a command');
      return ok('done');
    }),
  );
  const erasures = createErasures({ store, folder: temporaryFolder(t), logger: createLogger({ level: 'silent' }) });
  const taken = store.takeEraser('test');
  unwrap(await taken);
  t.ok((await client.pttl(keys.eraser)) > 0, 'the lease of an eraser');
  unwrap(await store.leaveEraser('test'));
  unwrap(await erasures.erase('unknown'));
  t.equal(await client.exists(keys.erasures, keys.eraser), 0, 'nothing is left of an erasure');
  const expiring = (await client.keys('end:*')).filter(
    (key) => /:(erased|format|node|relay)(:|$)/.test(key) || key.startsWith(keys.result(show, '')),
  );
  t.ok(expiring.length >= 3, expiring.join());
  for (const key of expiring) {
    const ttlMs = await client.pttl(key);
    t.ok(ttlMs > 0 && ttlMs <= 24 * 60 * 60 * 1000, `${key} expires`);
  }
  const single = 'shows|live|resting|retention|archives|erasures|eraser|relay|memory|server';
  const known = new RegExp(`^end:(\\{.*\\}:.*|${single}|erased:.*|format:.*|node:.*)$`);
  for (const key of await client.keys('*')) t.match(key, known);
});
