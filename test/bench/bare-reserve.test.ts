/** The bare reserve server, which the engine is compared with, decides correctly. */
import t, { type Test } from 'tap';
import { RawSocket, textFrame } from '../../bench/generator/websocket.ts';
import { type BareReserve, startBareReserve } from '../../bench/launch/bare-reserve.ts';
import { HotSaleBuyers } from '../../bench/users/hot-sale-buyers.ts';
import { LIMITS } from '../../src/limits.ts';
import { until } from '../support/until.ts';

const [BUYERS, PRESSES, PER_BUYER] = [100, 4, 3];

const sumOf = (values: Iterable<number>): number => [...values].reduce((sum, value) => sum + value, 0);

async function start(t: Test): Promise<BareReserve> {
  const server = await startBareReserve('off');
  t.teardown(() => server.stop());
  return server;
}

/** All buyers press more often than they may, on `units`. */
async function rush(t: Test, server: BareReserve, show: string, units: number): Promise<HotSaleBuyers> {
  const users = new HotSaleBuyers();
  t.teardown(() => users.leave());
  await server.openSale({ show, units, perBuyer: PER_BUYER });
  await users.join(server, show, BUYERS);
  for (const buyer of users.buyers) users.pressOften(buyer, PRESSES, performance.now());
  await users.waitForReplies(BUYERS * PRESSES, 5);
  return users;
}

t.test('no sale and no buyer exceeds its units, with many presses in a script call', async (t) => {
  const server = await start(t);
  const scarce = await rush(t, server, 'scarce', 150);
  t.equal(scarce.replies.get('accepted'), 150, 'as many as there are units');
  t.equal(sumOf(scarce.replies.values()), BUYERS * PRESSES, 'one reply for each press');
  const { most = 0, ...sums } = await books(server, 'scarce');
  t.same(sums, { left: 0, records: 150, owned: 150 });
  t.ok(most <= PER_BUYER, `one buyer has ${most}`);

  const plenty = await rush(t, server, 'plenty', 1_000);
  const owned = BUYERS * PER_BUYER;
  t.same(Object.fromEntries(plenty.replies), { accepted: owned, limit_exceeded: BUYERS * PRESSES - owned });
  t.same(await books(server, 'plenty'), { left: 1_000 - owned, records: owned, owned, most: PER_BUYER });

  const { calls } = await server.redis.scriptCalls();
  const presses = 2 * BUYERS * PRESSES;
  const areBatched = calls >= presses / LIMITS.reserveBatchMax && calls <= presses / 4;
  t.ok(areBatched, `${calls} script calls for ${presses} presses`);
});

t.test('a repeated key gets the recorded result, with the fields of the engine', async (t) => {
  const server = await start(t);
  await server.openSale({ show: 'again', units: 10, perBuyer: 5 });
  const received: Array<Record<string, unknown>> = [];
  const socket = new RawSocket(
    { host: '127.0.0.1', port: server.port, path: '/v1/shows/again', protocols: ['stampede.v1.json', 'token.anna'] },
    { onMessage: (bytes) => void received.push(JSON.parse(bytes.toString()) as Record<string, unknown>) },
  );
  t.teardown(() => socket.destroy());
  const receive = (count: number) => until(() => received.length >= count, `${count} messages`);
  await receive(1);
  for (const id of [1, 2]) {
    const press = { t: 'reserve', id, key: 'mine', sale: 'hot', lines: [{ sku: 'S', qty: 2 }] };
    socket.sendFrames(textFrame(JSON.stringify(press)));
    await receive(id + 1);
  }
  const [welcome, first, second] = received;
  t.match(welcome, { t: 'welcome', v: 1 });
  const reservation = { id: 'anna:mine', user: 'anna', state: 'held', amount: 2_000, lines: [{ sku: 'S', qty: 2 }] };
  t.match(first, { t: 'ok', id: 1, data: { reservation } });
  t.match(second, { t: 'ok', id: 2, data: first?.data }, 'the same reservation with the same times');
  t.same(await books(server, 'again'), { left: 8, records: 1, owned: 2, most: 2 });
});

async function books({ redis: { admin } }: BareReserve, show: string): Promise<Record<string, number>> {
  const owned = (await admin.hvals(`buyers:${show}`)).map(Number);
  return {
    left: Number(await admin.hget(`sale:${show}`, 'left')),
    records: await admin.hlen(`reservations:${show}`),
    owned: sumOf(owned),
    most: Math.max(...owned),
  };
}
