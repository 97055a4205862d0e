/**
 * The bare sketch that the engine's decisions are held against: it leaves much out, but it decides
 * rightly.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { RawSocket } from '../../bench/generator/websocket.ts';
import { type BareReserve, startBareReserve } from '../../bench/launch/bare-reserve.ts';
import { Crowd } from '../../bench/users/hot-sale-buyers.ts';
import { LIMITS } from '../../src/limits.ts';

const BUYERS = 100;
const PRESSES = 4;
const PER_BUYER = 3;

async function start(t: Test): Promise<BareReserve> {
  const sketch = await startBareReserve('off');
  t.teardown(() => sketch.stop());
  return sketch;
}

/** Everybody presses more often than they may, on `units`. */
async function rush(t: Test, sketch: BareReserve, show: string, units: number): Promise<Crowd> {
  const crowd = new Crowd();
  t.teardown(() => crowd.leave());
  await sketch.openSale({ show, units, perBuyer: PER_BUYER });
  await crowd.join(sketch, show, BUYERS);
  for (const buyer of crowd.buyers) crowd.pressOften(buyer, PRESSES, performance.now());
  await crowd.told(BUYERS * PRESSES, 5);
  return crowd;
}

t.test('never more than there is, never more than a buyer may, many a call', async (t) => {
  const sketch = await start(t);
  const scarce = await rush(t, sketch, 'scarce', 150);
  t.equal(scarce.answers.get('accepted'), 150, 'as many as there are units');
  t.equal(
    [...scarce.answers.values()].reduce((sum, count) => sum + count),
    BUYERS * PRESSES,
    'one answer a press',
  );
  const { most, ...sums } = await books(sketch, 'scarce');
  t.same(sums, { left: 0, records: 150, owned: 150 });
  t.ok(most <= PER_BUYER, `the luckiest has ${most}`);

  const plenty = await rush(t, sketch, 'plenty', 1_000);
  t.same([...plenty.answers].sort(), [
    ['accepted', BUYERS * PER_BUYER],
    ['limit_exceeded', BUYERS * (PRESSES - PER_BUYER)],
  ]);
  t.same(await books(sketch, 'plenty'), {
    left: 1_000 - BUYERS * PER_BUYER,
    records: 300,
    owned: 300,
    most: PER_BUYER,
  });

  const { calls } = await sketch.redis.scriptCalls();
  t.ok(
    calls >= (2 * BUYERS * PRESSES) / LIMITS.reserveBatchMax && calls <= (2 * BUYERS * PRESSES) / 4,
    `${calls} script calls for ${2 * BUYERS * PRESSES} presses`,
  );
});

t.test("a repeated key has the first press's answer, with the fields of the engine's", async (t) => {
  const sketch = await start(t);
  await sketch.openSale({ show: 'again', units: 10, perBuyer: 5 });
  const told: Array<Record<string, unknown>> = [];
  const socket = new RawSocket(
    { host: '127.0.0.1', port: sketch.port, path: '/v1/shows/again', protocols: ['stampede.v1.json', 'token.anna'] },
    { onMessage: (bytes) => void told.push(JSON.parse(bytes.toString()) as Record<string, unknown>) },
  );
  t.teardown(() => socket.destroy());
  const until = async (count: number): Promise<void> => {
    while (told.length < count) await sleep(5);
  };
  await until(1);
  for (const id of [1, 2]) {
    socket.sendText(JSON.stringify({ t: 'reserve', id, key: 'mine', sale: 'hot', lines: [{ sku: 'S', qty: 2 }] }));
    await until(id + 1);
    await sleep(5);
  }
  const [welcome, first, second] = told;
  t.match(welcome, { t: 'welcome', v: 1 });
  t.match(first, {
    t: 'ok',
    id: 1,
    data: {
      reservation: { id: 'anna:mine', user: 'anna', state: 'held', amount: 2_000, lines: [{ sku: 'S', qty: 2 }] },
    },
  });
  t.match(second, { t: 'ok', id: 2, data: first?.data }, 'the same reservation, made at the same time');
  t.same(await books(sketch, 'again'), { left: 8, records: 1, owned: 2, most: 2 });
});

async function books(
  { redis: { admin: client } }: BareReserve,
  show: string,
): Promise<Record<'left' | 'records' | 'owned' | 'most', number>> {
  const owned = (await client.hvals(`buyers:${show}`)).map(Number);
  return {
    left: Number(await client.hget(`sale:${show}`, 'left')),
    records: await client.hlen(`reservations:${show}`),
    owned: owned.reduce((sum, units) => sum + units, 0),
    most: Math.max(...owned),
  };
}
