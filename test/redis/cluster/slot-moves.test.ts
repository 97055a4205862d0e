// slow: a cluster moves a slot in real time while viewers chat
/** A slot moves to another master during a show: no client reconnects or misses anything. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { checkReceived } from '../../gateway/check-received.ts';
import { Conversation } from '../../gateway/conversation.ts';
import { startEngine, until } from '../../gateway/harness.ts';
import { startCluster } from '../../support/cluster.ts';

const SHOW = 'show';
const HALF_MOVED_MS = 400;

const cluster = await startCluster();
t.teardown(() => cluster.stop());

t.test('E-5 R-7: a show continues on all nodes when its slot moves to another master', async (t) => {
  const engine = await startEngine(t, cluster.url, { show: SHOW });
  const second = await engine.addNode();
  const clients = await Promise.all(
    [0, 1, 2, 3].map((i) =>
      engine.connect({ user: `u${i}`, node: i % 2 ? second : engine.node, encoding: i > 1 ? 'json' : 'msgpack' }),
    ),
  );
  await Promise.all(clients.map((client) => client.type('welcome')));
  const sale = await engine.openSale({ quantity: 10 });
  const [ann] = clients;
  const reserve = (key: string) => ann?.request({ t: 'reserve', key, sale, lines: [{ sku: 'shirt-m', qty: 1 }] });
  t.match(await reserve('before'), { t: 'ok' });

  const conversation = new Conversation(clients, engine.store, SHOW);
  await sleep(400);
  const from = cluster.ownerOf(SHOW);
  const to = cluster.masters.find((master) => master !== from);
  if (to === undefined) throw new Error('a cluster has more than one master');
  await cluster.moveSlot(SHOW, from, to, HALF_MOVED_MS);
  await sleep(1_500);
  await conversation.end();

  const other = [...conversation.refusals].filter((code) => code !== 'redis_unavailable');
  t.same(other, [], 'requests during the move were refused with their code');
  await engine.store.announce(SHOW, 'the end', 'test');
  for (const client of clients) {
    const isOver = () => client.events().some(({ data }) => data['text'] === 'the end');
    await until(isOver, 'the show continues on the new master', 10_000);
    const hasAll = () => conversation.accepted.every((text) => checkReceived(client.received).texts.has(text));
    await until(hasAll, 'all accepted messages arrived', 8_000);
    const { problems, epochs, snapshots } = checkReceived(client.received);
    t.same(problems, []);
    t.equal(epochs.length, 2, 'another server, one new epoch');
    t.equal(snapshots, 1);
    t.equal(client.socket.readyState, client.socket.OPEN);
  }
  t.ok(conversation.accepted.length > 8, `${conversation.accepted.length} messages`);
  t.match(await reserve('before'), { t: 'ok', data: { replayed: true } });
  await until(async () => (await reserve('after'))?.t === 'ok', 'the books were verified and the sale resumed');
  t.match(await engine.store.verify(SHOW), { ok: true, value: { violations: { length: 0 } } });
});
