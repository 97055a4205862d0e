/** Users of Redis with fewer permissions: what works, and what is refused with the rule to add. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import type { RedisCapabilities } from '../../src/domain/health.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { createJobs } from '../../src/jobs/index.ts';
import { ok } from '../../src/protocol/codes.ts';
import { type ConnectedStore, connectJobs, createStore } from '../../src/redis/index.ts';
import { aclRule, neededCommands } from '../../src/redis/permissions.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { listen } from '../support/listen.ts';
import { ROOT } from '../support/root.ts';
import { byHost, HOST, items, outcome, unwrap } from '../support/store-fixture.ts';
import { holdsIn, until } from '../support/until.ts';

const redis = await startRedis();
t.teardown(() => redis.stop());
const { admin } = redis;
t.jobs = 4;
const ALL = ['~*', '&*', '+@all'];

let users = 0;
/** Creates a user of Redis with these rules, and a store that connects as this user. */
async function storeOf(
  t: Test,
  rules: readonly string[],
  { keyPrefix = 'stampede:', server = redis, runsJobs = false } = {},
) {
  const { admin } = server;
  const user = `user${++users}`;
  const allow = (...more: string[]) => admin.call('ACL', 'SETUSER', user, ...more);
  await allow('on', '>pw', ...rules);
  const target = redisTarget(`unix://${user}:pw@${server.socketPath}`);
  const store = createStore({ redis: target, keyPrefix, runsJobs });
  t.teardown(() => store.close());
  await until(() => store.trouble()?.state !== 'connecting', 'the first outcome');
  return { user, allow, target, store, isBack: () => holdsIn(5_000, () => store.trouble() === null) };
}

t.test('the command in README.md creates a user, and the whole engine runs as this user', async (t) => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [, command = ''] = /```sh\n *(redis-cli ACL SETUSER[^`]*)```/.exec(readme) ?? [];
  const folder = mkdtempSync(join(tmpdir(), 'stampede-acl-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const PATH = process.env.PATH ?? '';
  const found = `PATH='${PATH}' exec redis-cli -s '${redis.socketPath}' "$@"`;
  writeFileSync(join(folder, 'redis-cli'), `#!/bin/sh\n${found}\n`, { mode: 0o700 });
  t.equal(execFileSync('sh', ['-c', command], { env: { PATH: `${folder}:${PATH}` }, encoding: 'utf8' }), 'OK\n');
  await admin.call('ACL', 'SETUSER', 'same', 'on', '>PASSWORD', ...aclRule('stampede:').join(' ').split(' '));
  const rights = async (name: string) => ((await admin.call('ACL', 'GETUSER', name)) as unknown[]).slice(4);
  t.same(await rights('stampede'), await rights('same'), 'src/redis/permissions.ts has the same rule');

  const target = redisTarget(`unix://stampede:PASSWORD@${redis.socketPath}`);
  await admin.call('SCRIPT', 'FLUSH');
  const store = createStore({ redis: target, keyPrefix: 'stampede:', runsJobs: true });
  t.teardown(() => store.close());
  await store.ready();
  t.match(store.redisCapabilities(), {
    identity: 'info',
    scripts: 'functions',
    publish: 'sharded',
    durability: 'everysec',
  });
  const logger = createLogger({ level: 'silent' });
  const connect = () => connectJobs(target, false);
  const jobs = createJobs({ store, connect, keyPrefix: 'stampede:', logger });
  t.teardown(() => jobs.stop());
  await jobs.start();
  await useAll(t, store, (sale) => jobs.planSale('show', sale));
  await jobs.stop();
  const refused = ((await admin.call('ACL', 'LOG')) as unknown[][]).filter((entry) => entry.includes('stampede'));
  t.same(refused, [], 'Redis refused nothing');
  const user = admin.duplicate({ username: 'stampede', password: 'PASSWORD' });
  t.teardown(() => user.disconnect());
  for (const words of ['FUNCTION FLUSH', 'FUNCTION RESTORE x', 'SCRIPT FLUSH', 'GET other', 'KEYS *', 'FLUSHALL'])
    await t.rejects(user.call(...(words.split(' ') as [string])), /NOPERM/, words);
});

t.test('the commands that are examined for jobs are those that BullMQ sends', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.stop());
  const target = redisTarget(server.url);
  const store = createStore({ redis: target, keyPrefix: 'stampede:' });
  t.teardown(() => store.close());
  await store.ready();
  const jobs = createJobs({
    ...{ store: { ...store, liveShows: async () => ok([]) }, connect: () => connectJobs(target, false) },
    ...{ keyPrefix: 'stampede:', logger: createLogger({ level: 'silent' }) },
  });
  t.teardown(() => jobs.stop());
  await jobs.start();
  await server.admin.config('RESETSTAT');
  await useAll(t, store, (sale) => jobs.planSale('show', sale));
  await jobs.stop();
  const stats = await server.admin.info('commandstats');
  const sent = [...stats.matchAll(/^cmdstat_([^:]+):/gm)].map(([, name]) => (name as string).toUpperCase());
  const use = { scripts: 'functions', runsJobs: true, needsKeyIdentity: false } as const;
  const examined = new Set(neededCommands('key', use).map(([name]) => name));
  const OTHERS = /^(CONFIG|CLIENT|INFO|HELLO|AUTH|SELECT|SCRIPT|QUIT|S?(UN)?SUBSCRIBE|S?PUBLISH|COMMAND)\b/;
  t.same(
    sent.filter((name) => !OTHERS.test(name) && !examined.has(name)),
    [],
  );
  t.ok(sent.includes('BZPOPMIN'));
});

/** Uses every port of a store once. */
async function useAll(t: Test, store: ConnectedStore, plan: (sale: never) => Promise<void>): Promise<void> {
  unwrap(await store.createShow({ id: 'show', title: 'T', brands: [{ id: 'b', name: 'B' }] }, HOST));
  unwrap(await store.putProduct('show', { id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'S' }, { sku: 'L' }] }, HOST));
  const { received } = await listen(store, 'show');
  unwrap(await store.startShow('show', HOST));
  const skus = ['S', 'L'].map((sku) => ({ sku, product: 'p', price: 100, quantity: 2 }));
  const sale = { id: 'sale', title: 'Sale', currency: 'EUR', perBuyer: 2, opensInMs: 1_500, durationMs: 60_000, skus };
  const planned = unwrap(await store.createSale('show', sale, byHost('k1')));
  await plan(planned as never);
  await until(
    () =>
      received.some(
        (message) => message.kind === 'commit' && message.commit.sales.some(({ state }) => state === 'open'),
      ),
    'a job opens the sale',
  );
  const reserve = async (user: string, sku: string) =>
    unwrap(
      (
        await store.reserve('show', [{ user, key: `${user}-${sku}`, sale: 'sale', lines: items({ [sku]: 2 }) }])
      )[0] as never,
    ) as { reservation: { id: string } };
  const [ann] = [await reserve('ann', 'S'), await reserve('bob', 'L')];
  unwrap(await store.waitlist('show', { op: 'join', user: 'cyd', key: 'k2', sale: 'sale', sku: 'S', qty: 1 }));
  unwrap(await store.confirm('show', { reservation: ann.reservation.id, orderRef: 'o', amount: 200 }, byHost('k3')));
  const [{ reservations }] = unwrap(await store.holdingsOf('show', ['bob'])) as unknown as [
    { reservations: [{ id: string }] },
  ];
  unwrap(await store.release('show', reservations[0].id, byHost('k4')));
  unwrap(
    await store.appendChat(
      'show',
      { node: 'n', at: 1, count: 1, items: Buffer.from([0x95, 1, 2, 0xa1, 0x61, 0xa1, 0x62, 0]) },
      ['ann'],
    ),
  );
  unwrap(await store.removeChat('show', [1]));
  unwrap(await store.mute('show', 'ann', 60_000));
  unwrap(await store.unmute('show', 'ann'));
  unwrap(await store.mutes('show'));
  unwrap(await store.recentChat('show'));
  unwrap(await store.reportCounts('show', 'n', 3, 1, ['ann']));
  unwrap(await store.reportRefusals('show', 'n', 1, [{ sale: 'sale', code: 'sold_out', count: 2, offset: 1, rev: 1 }]));
  unwrap(await store.announce('show', 'hello', HOST));
  unwrap(await store.once('show', byHost('k5'), {}, async () => ({ ok: true, value: 1 })));
  const { epoch } = unwrap(await store.load('show')).snapshot;
  t.ok((unwrap(await store.eventsAfter('show', epoch, 0)) ?? []).length > 3);
  t.same(unwrap(await store.verify('show')).violations, []);
  unwrap(await store.reconcile('show', HOST));
  unwrap(await store.endShow('show', HOST));
  unwrap(await store.listShows());
  unwrap(await store.liveShows());
}

t.test('what a user lacks and the engine can do without', async (t) => {
  const cases: ReadonlyArray<readonly [lacks: readonly string[], has: Partial<RedisCapabilities>]> = [
    [['-info'], { identity: 'key', server: 'Redis 7.0.15', evictionPolicy: null }],
    [['-@dangerous'], { identity: 'key', durability: 'unknown' }],
    [['-config'], { identity: 'info', durability: 'unknown' }],
    [['-function'], { scripts: 'eval' }],
    [['-fcall'], { scripts: 'eval' }],
    [['-eval', '-evalsha', '-script'], { scripts: 'functions' }],
    [['-ssubscribe'], { publish: 'classic' }],
    [['-spublish'], { publish: 'classic' }],
  ];
  for (const [at, [lacks, has]] of cases.entries()) {
    const { store } = await storeOf(t, [...ALL, ...lacks], { keyPrefix: `works-${at}:` });
    t.equal(store.trouble(), null, lacks.join(' '));
    t.match(store.redisCapabilities(), { server: /^Redis \d/, ...has, ...(has.server ? { server: /^Redis \d/ } : {}) });
    t.equal(outcome(await store.createShow({ id: 'show', title: 'T' }, HOST)), 'ok', lacks.join(' '));
    await store.close();
  }
});

t.test('what a user lacks and the engine needs is refused with the rule that adds it', async (t) => {
  const cases: ReadonlyArray<readonly [rules: readonly string[], missing: RegExp]> = [
    [['~*', 'resetchannels', '+@all'], /&stampede:\*/],
    [['~*', '&other:*', '+@all'], /&stampede:\*/],
    [['~other:*', '&*', '+@all'], /~stampede:\*/],
    [['%R~stampede:*', '&*', '+@all'], /~stampede:\*/],
    [['~other:*', 'resetchannels', '+@all'], /~stampede:\* &stampede:\*|&stampede:\* ~stampede:\*/],
    [['~*', '&*', '+@all', '-hset', '-zadd'], /\+hset \+zadd/],
    [['~*', '&*', '+@all', '-time'], /\+time/],
    [['~*', '&*', '+@all', '-fcall', '-eval', '-evalsha'], /^\+fcall$/],
    [['~*', '&*', '-@all', '+@read', '+@connection', '+@scripting', '+@pubsub', '+time'], /\+hset/],
    [['~*', '&*', '+@all', '-publish', '-spublish'], /^\+spublish$/],
    [['~*', '&*', '+@all', '-time', '-xadd', '-evalsha', '-fcall'], /^\+time \+xadd \+fcall$/],
    [['~*', '&*', '+@all', '-@pubsub'], /^\+ssubscribe \+spublish$/],
    [['~*', '&*', '+@all', '-@slow'], /\+set .*\+fcall.*\+script\|load/],
    [['~other:*', 'resetchannels', '+@all', '-hset', '-@scripting'], /&stampede:\*.*~stampede:\*.*\+hset.*\+fcall/],
    [['~*', '&*', '+@all', '-info', '-script'], /^\+script\|exists \+script\|load$/],
  ];
  async function check([rules, missing]: (typeof cases)[number]): Promise<void> {
    const { store, user, allow, isBack } = await storeOf(t, rules);
    const { state, reason = '', remedy = '' } = store.trouble() ?? {};
    t.equal(state, 'no_permission', rules.join(' '));
    t.match(reason, new RegExp(`"${user}" of Redis lacks the permissions? [+&~].* \\(NOPERM\\)`));
    const [, rule = ''] = new RegExp(`ACL SETUSER ${user} (.*?)\\. `).exec(remedy) ?? [];
    t.match(rule, missing, rules.join(' '));
    t.match(await store.createShow({ id: 'show', title: 'T' }, HOST), {
      ok: false,
      error: { code: 'redis_unavailable' },
    });
    const reasons = new Set<string>();
    store.watchTrouble((trouble) => trouble !== null && reasons.add(trouble.remedy));
    await allow(...rule.split(' '));
    t.ok(await isBack(), `${rules.join(' ')} and ${rule} suffice: ${JSON.stringify(store.trouble())}`);
    t.same([...reasons], [], `one rule for ${rules.join(' ')}`);
    await store.close();
  }
  await Promise.all(cases.map(check));
});

t.test('what jobs need is refused by name, before they run (I11)', async (t) => {
  for (const lacks of ['eval', 'evalsha', 'bzpopmin', 'lpush']) {
    const { store, user, isBack, allow } = await storeOf(t, [...ALL, `-${lacks}`], { runsJobs: true });
    t.match(store.trouble(), { state: 'no_permission', remedy: `ACL SETUSER ${user} +${lacks}.` });
    await allow(`+${lacks}`);
    t.ok(await isBack(), lacks);
    store.noteRefusal(new Error("NOPERM this user has no permissions to run the 'eval' command"));
    await store.close();
  }
});

t.test('a permission that is removed while the engine runs is named, and its return ends the refusal', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.stop());
  const { store, allow, isBack } = await storeOf(t, ALL, { keyPrefix: 'live:', server });
  unwrap(await store.createShow({ id: 'show', title: 'T' }, HOST));
  const heard: string[] = [];
  unwrap(
    await store.subscribe('show', {
      onMessage: (message) => heard.push(message.kind),
      onResync: () => heard.push('resync'),
    }),
  );
  for (const [lost, found] of [
    ['resetchannels', '&live:*'],
    ['-hset', '+hset'],
    ['-spublish', '+spublish'],

    ['resetkeys', '~live:*'],
    ['resetpass', '>pw'],
  ] as const) {
    heard.length = 0;
    await allow(lost);
    if (lost === 'resetpass') await server.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    const refused = await store.announce('show', lost, HOST);
    t.equal(refused.ok, false, lost);
    const state = lost === 'resetpass' ? 'wrong_password' : 'no_permission';
    await until(() => store.trouble()?.state === state, `${state} after ${lost}`);
    if (lost !== 'resetpass') t.match(store.trouble()?.remedy, `${found}`);
    await allow(found);
    t.ok(await isBack(), `${found}: ${JSON.stringify(store.trouble())}`);
    t.equal(outcome(await store.announce('show', found, HOST)), 'ok');
    await until(() => heard.includes('commit'), `viewers hear it after ${found}`, 5_000);
    if (lost === 'resetchannels') t.equal(heard[0], 'resync', 'what was published meanwhile is loaded');
  }
  t.same(unwrap(await store.verify('show')).violations, []);
});

t.test('without INFO a restart is another server, and a reconnect is not', async (t) => {
  const own = await startRedis();
  t.teardown(() => own.stop());
  const rules = [...ALL, '-info'];
  const allow = () => own.admin.call('ACL', 'SETUSER', 'app', 'on', '>pw', ...rules);
  await allow();
  const connect = async () => {
    const store = createStore({ redis: redisTarget(`unix://app:pw@${own.socketPath}`) });
    t.teardown(() => store.close());
    await store.ready();
    return store;
  };
  const [store, other] = [await connect(), await connect()];
  const first = store.runId();
  t.match(first, /^[0-9a-f]{40}$/);
  t.equal(other.runId(), first, 'all nodes see the same server');
  await own.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await until(() => store.trouble() !== null, 'the connection is lost');
  await until(() => store.trouble() === null, 'it is back');
  t.equal(store.runId(), first);

  unwrap(await store.createShow({ id: 'show', title: 'T' }, HOST));
  const { epoch } = unwrap(await store.load('show')).snapshot;
  await own.crashAndRestart();
  await allow();
  await Promise.all([store, other].map((each) => until(() => each.trouble() === null, 'it is back')));
  t.not(store.runId(), first, 'the key survived the restart, and does not count');
  await until(() => other.runId() === store.runId(), 'all nodes agree');
  t.not(unwrap(await store.load('show')).snapshot.epoch, epoch, 'the show is fenced');
});
