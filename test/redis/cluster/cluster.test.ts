/** Shows on three masters: scripts, relay and verification work on each. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { RelayMessage } from '../../../src/domain/show-log.ts';
import { ok } from '../../../src/protocol/codes.ts';
import { connectStore } from '../../../src/redis/index.ts';
import { startCluster } from '../../support/cluster.ts';

const cluster = await startCluster();
const [store, other] = await Promise.all([connectStore({ url: cluster.url }), connectStore({ url: cluster.url })]);
t.teardown(async () => {
  await Promise.all([store.close(), other.close()]);
  await cluster.stop();
});

const SHOWS = ['ant', 'bee', 'cat', 'dog', 'eel', 'fox'];

t.test('shows on every master are sold out, received by another node, and verified', async (t) => {
  t.equal(store.trouble(), null);
  for (const show of SHOWS) {
    const received: RelayMessage[] = [];
    t.match(await store.createShow({ id: show, title: show, brands: [{ id: 'b', name: 'B' }] }, 'host'), { ok: true });
    t.match(await store.putProduct(show, { id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'S' }] }, 'host'), {
      ok: true,
    });
    t.match(await other.subscribe(show, { onMessage: (message) => received.push(message), onResync() {} }), {
      ok: true,
    });
    const sale = {
      id: 'sale',
      title: 'Flash',
      currency: 'EUR',
      opensInMs: 0,
      durationMs: 60_000,
      skus: [{ sku: 'S', product: 'p', price: 100, quantity: 3 }],
    };
    t.match(await store.createSale(show, sale, { key: 'k', actor: 'host' }), { ok: true });
    const request = (user: string) => ({ user, key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 1 }] });
    const results = await other.reserve(show, ['a', 'b', 'c', 'd', 'e'].map(request));
    t.same(
      results.map((result) => (result.ok ? 'ok' : result.error.code)),
      ['ok', 'ok', 'ok', 'sold_out', 'sold_out'],
    );
    for (
      let i = 0;
      i < 100 &&
      !received.some(
        (message) => message.kind === 'commit' && message.commit.events.some(({ type }) => type === 'sale.sold_out'),
      );
      i++
    )
      await sleep(10);
    t.ok(
      received.some((message) => message.kind === 'commit' && message.commit.holds?.changes().length === 3),
      'the other node received the holds',
    );
    t.match(await store.verify(show), { ok: true, value: { violations: [], reservations: 3, refusals: 2 } });
  }
  t.match(await store.listShows(), { ok: true, value: { length: SHOWS.length } });
});

t.test('a running command blocks its key on all nodes, and its result is replayed', async (t) => {
  const command = { key: 'once', actor: 'host' };
  for (const show of SHOWS) {
    const outer = await store.alone(show, command, async () => {
      const inner = await other.alone(show, command, async () => ok(null));
      t.match(inner, { ok: false, error: { code: 'idempotency_in_progress' } });
      return store.announce(show, 'Soon!', 'host', command);
    });
    t.match(outer, { ok: true });
    t.same(
      await other.alone(show, command, () => other.announce(show, 'Soon!', 'host', command)),
      outer,
      'the recorded result',
    );
  }
});
