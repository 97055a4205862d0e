import t from 'tap';
import { refusedUpgrade, startWorld } from './harness.ts';

t.test(
  'D-1 D-2: a draining node answers what is in flight, says when to come back, and refuses newcomers',
  async (t) => {
    const world = await startWorld(t, { publicKeyTokens: true, gateway: { reconnectUrl: 'wss://other.example' } });
    const clients = await Promise.all(
      Array.from({ length: 60 }, (_, i) => world.connect({ user: `u${i}`, encoding: i % 2 ? 'json' : 'msgpack' })),
    );
    await Promise.all(clients.map((c) => c.type('welcome')));
    const sale = await world.openSale({ quantity: 60 });
    const [first] = clients;
    await first?.find((m) => m['events']?.some((e) => e.type === 'sale.opened'));
    const answers = clients.map((c) => c.ask({ t: 'reserve', key: 'k', sale, lines: [{ sku: 'shirt-m', qty: 1 }] }));
    await answers[0];
    const drained = world.node.gateway.drain({ timeoutMs: 3_000 });
    const refused = await refusedUpgrade(`${world.node.url}/v1/shows/${world.show}`, [
      'stampede.v1.json',
      `token.${world.token('late')}`,
    ]);
    t.equal(refused.status, 503);
    t.match(refused.body, { code: 'draining' });
    t.ok(Number(refused.headers['retry-after']) >= 1);
    for (const answer of await Promise.all(answers))
      t.ok(answer['t'] === 'ok' || answer['code'] === 'draining', 'everybody got one answer');
    const byes = await Promise.all(clients.map((c) => c.type('bye')));
    for (const bye of byes)
      t.match(bye, { code: 4000, reason: 'draining', reconnectAfterMs: Number, url: 'wss://other.example' });
    t.ok(new Set(byes.map((bye) => bye['reconnectAfterMs'])).size > 20, 'delays differ');
    const second = await world.addNode();
    const moved = await world.connect({
      user: 'ignored',
      node: second,
      token: String((byes[7] as { pass?: string } | undefined)?.pass),
    });
    t.match(
      (await moved.type('welcome'))['you'],
      { user: 'u7', role: 'buyer' },
      'the pass replaces the token on the next node (W-5)',
    );
    for (const { code } of await Promise.all(clients.map((c) => c.closed))) t.equal(code, 4000);
    await drained;
    t.equal(await world.node.metric('connections'), 0);
    t.equal(await world.node.metric('rooms'), 0);
  },
);
