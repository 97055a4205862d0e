import t from 'tap';
import { refusedUpgrade } from './client.ts';
import { startWorld } from './harness.ts';

t.test('a draining node completes requests and refuses joins (D-1.2, D-1.3, D-2, W-5.1)', async (t) => {
  const world = await startWorld(t, { publicKeyTokens: true, gateway: { reconnectUrl: 'wss://other.example' } });
  const clients = await world.joinMany(60, (i) => ({ user: `u${i}`, encoding: i % 2 ? 'json' : 'msgpack' }));
  const sale = await world.openSale({ quantity: 60 });
  await clients[0]?.event('sale.opened');
  const replies = clients.map((client) => client.reserve(sale, 'k'));
  await replies[0];
  const drained = world.node.gateway.drain({ timeoutMs: 3_000 });
  const protocols = ['stampede.v1.json', `token.${world.token('late')}`];
  const refused = await refusedUpgrade(`${world.node.url}/v1/shows/${world.show}`, protocols);
  t.match(refused, { status: 503, body: { code: 'draining' } });
  t.ok(Number(refused.headers['retry-after']) >= 1);
  for (const reply of await Promise.all(replies))
    t.ok(reply.t === 'ok' || reply.code === 'draining', 'each request has a reply');
  const byes = await Promise.all(clients.map((client) => client.type('bye')));
  for (const bye of byes)
    t.match(bye, { code: 4000, reason: 'draining', reconnectAfterMs: Number, url: 'wss://other.example' });
  t.ok(new Set(byes.map((bye) => bye.reconnectAfterMs)).size > 20, 'delays differ');
  const moved = await world.join({ user: 'ignored', node: await world.addNode(), token: String(byes[7]?.pass) });
  const { you } = await moved.type('welcome');
  t.match(you, { user: 'u7', role: 'buyer' }, 'the pass replaces the token on the next node (W-5)');
  for (const { code } of await Promise.all(clients.map((client) => client.closed))) t.equal(code, 4000);
  await drained;
  t.equal(await world.node.metric('connections'), 0);
  t.equal(await world.node.metric('rooms'), 0);
});
