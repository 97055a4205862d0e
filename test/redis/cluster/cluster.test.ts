/**
 * Shows on three masters: scripts, relay and verification work on each, in both modes, also for a
 * node that knows a single address of the cluster.
 */
import t, { type Test } from 'tap';
import { type RedisTarget, redisTarget } from '../../../src/domain/redis-target.ts';
import type { RelayMessage } from '../../../src/domain/show-log.ts';
import { ok } from '../../../src/protocol/codes.ts';
import { type ConnectedStore, connectStore } from '../../../src/redis/index.ts';
import { startCluster } from '../../support/cluster.ts';
import { listen } from '../../support/listen.ts';
import { byHost, HOST, outcome, unwrap } from '../../support/store-fixture.ts';
import { until } from '../../support/until.ts';

const cluster = await startCluster();
const redis = redisTarget(cluster.url);
/** As the configuration endpoint of a managed cluster: nothing says that it is one. */
const oneAddress = redisTarget(cluster.url.split(',')[0] as string);
t.teardown(() => cluster.stop());

const SHOWS = ['ant', 'bee', 'cat', 'dog', 'eel', 'fox'];
const MODES = [
  { scripts: 'functions', publish: 'sharded' },
  { scripts: 'eval', publish: 'classic' },
] as const;
for (const modes of MODES) {
  const keyPrefix = `${modes.scripts}:`;
  const connect = (target: RedisTarget) => connectStore({ redis: target, keyPrefix, ...modes });
  const [store, other] = await Promise.all([connect(redis), connect(oneAddress)]);
  t.teardown(() => Promise.all([store.close(), other.close()]));
  t.test(`${modes.scripts}, ${modes.publish}`, (t) => tests(t, store, other));
}

async function tests(t: Test, store: ConnectedStore, other: ConnectedStore): Promise<void> {
  t.test('shows on every master are sold out, received by another node, and verified', async (t) => {
    for (const node of [store, other]) {
      t.equal(node.trouble(), null);
      t.equal(node.redisCapabilities()?.isCluster, true);
    }
    for (const show of SHOWS) {
      unwrap(await store.createShow({ id: show, title: show, brands: [{ id: 'b', name: 'B' }] }, HOST));
      unwrap(await store.putProduct(show, { id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'S' }] }, HOST));
      const { received } = await listen(other, show);
      const skus = [{ sku: 'S', product: 'p', price: 100, quantity: 3 }];
      const sale = { id: 'sale', title: 'Flash', currency: 'EUR', opensInMs: 0, durationMs: 60_000, skus };
      unwrap(await store.createSale(show, sale, byHost('k')));
      const request = (user: string) => ({ user, key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 1 }] });
      const results = await other.reserve(show, ['a', 'b', 'c', 'd', 'e'].map(request));
      t.same(results.map(outcome), ['ok', 'ok', 'ok', 'sold_out', 'sold_out']);
      const commits = () => received.flatMap((message) => (message.kind === 'commit' ? [message.commit] : []));
      const types = () => commits().flatMap(({ events }) => events.map(({ type }) => type));
      await until(() => types().includes('sale.sold_out'), 'the event arrives');
      const holds = commits().map((commit) => commit.holds?.changes().length);
      t.ok(holds.includes(3), 'the other node received the holds');
      t.match(await store.verify(show), {
        ok: true,
        value: { violations: { length: 0 }, reservations: 3, refusals: 2 },
      });
    }
    t.match(await store.listShows(), { ok: true, value: { shows: { length: SHOWS.length } } });
  });

  t.test('a running command blocks its key on all nodes, and its result is replayed', async (t) => {
    const command = byHost('once');
    for (const show of SHOWS) {
      const outer = await store.alone(show, command, async () => {
        const inner = await other.alone(show, command, async () => ok(null));
        t.match(inner, { ok: false, error: { code: 'idempotency_in_progress' } });
        return store.announce(show, 'Soon!', HOST, command);
      });
      t.equal(outcome(outer), 'ok');
      const repeated = await other.alone(show, command, () => other.announce(show, 'Soon!', HOST, command));
      t.same(repeated, outer, 'the recorded result');
    }
  });

  t.test('I7: a node whose subscriptions end is notified, and receives what is published then', async (t) => {
    const show = 'ant';
    let resyncs = 0;
    const texts: unknown[] = [];
    const onMessage = (message: RelayMessage): void => {
      if (message.kind === 'commit') texts.push(...message.commit.events.map(({ data }) => data['text']));
    };
    unwrap(await other.subscribe(show, { onMessage, onResync: () => resyncs++ }));
    for (const { client } of cluster.masters) await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => resyncs > 0, 'the node is notified', 10_000);
    unwrap(await store.announce(show, 'after', HOST));
    await until(() => texts.includes('after'), 'the message arrives');
    for (const node of [store, other]) {
      t.equal(node.trouble(), null);
      t.equal(node.redisCapabilities()?.isCluster, true);
    }
  });
}
