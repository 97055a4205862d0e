import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { MessagePackWriter, writeChatItem } from '../../src/domain/message-pack.ts';
import { startWorld, until, type World } from './harness.ts';

/** Chat as another node would append it: no rate limits, 60 kB a batch. */
async function floodOnce(world: World, round: number): Promise<number> {
  const writer = new MessagePackWriter();
  const count = 200;
  for (let i = 0; i < count; i += 1) writeChatItem(writer, i, 0, 'flood', `${round}/${i} `.padEnd(280, '.'), 0);
  const appended = await world.store.appendChat(
    world.show,
    { node: 'flooder', at: world.store.now(), count, items: writer.take() },
    Array(count).fill('flood'),
  );
  if (!appended.ok) throw new Error(appended.error.message);
  return count;
}

t.test(
  'B-1 B-2: a slow viewer loses chat, keeps events, and is told exactly how many messages it missed',
  async (t) => {
    const world = await startWorld(t);
    const quick = await world.connect({ user: 'quick' });
    const slow = await world.connect({ user: 'slow', encoding: 'msgpack' });
    await Promise.all([quick.type('welcome'), slow.type('welcome')]);
    slow.socket.pause();
    let total = 0;
    for (let round = 0; (await world.node.metric('demotions_total')) === 0; round += 1) {
      if (round > 600) throw new Error('nobody was demoted');
      total += await floodOnce(world, round);
      if (round % 2 === 0) await sleep(20);
    }
    total += await floodOnce(world, 10_000);
    await world.store.announce(world.show, 'only for those who listen', 'test');
    await until(() => quick.chat().length === total, 'the quick viewer has everything', 8_000);
    slow.socket.resume();
    const restored = await slow.find((m) => m['missed'] > 0);
    t.match(restored['state'], { sales: [], viewers: Number }, 'with the state of now');
    await slow.find((m) => m['events']?.some((e) => e.data.text === 'only for those who listen'));
    t.equal(slow.chat().length + restored['missed'], total);
    await floodOnce(world, 10_001);
    await until(() => slow.chat().at(-1)?.[2].startsWith('10001/199') ?? false, 'chat goes on after the restoration');
    t.equal(slow.chat().length, total - restored['missed'] + 200);
  },
);

t.test('B-4: who does not read is noticed while the network still takes everything; who reads is not', async (t) => {
  const world = await startWorld(t);
  const quick = await world.connect({ user: 'quick' });
  const slow = await world.connect({ user: 'slow' });
  await Promise.all([quick.type('welcome'), slow.type('welcome')]);
  slow.socket.pause();
  // 2 MB in 3 s: less than the network holds for a line.
  let total = 0;
  for (let round = 0; round < 30; round += 1) {
    total += await floodOnce(world, round);
    await sleep(100);
  }
  t.equal(await world.node.metric('demotions_total'), 1);
  total += await floodOnce(world, 10_000);
  await until(() => quick.chat().length === total, 'the quick viewer has everything', 8_000);
  slow.socket.resume();
  const restored = await slow.find((m) => m['missed'] > 0);
  t.equal(slow.chat().length + restored['missed'], total);
  t.ok(restored['missed'] >= 200, 'what was said last it was not sent');
  await floodOnce(world, 10_001);
  await until(() => slow.chat().at(-1)?.[2].startsWith('10001/199') ?? false, 'chat goes on after the answer');
  t.equal(await world.node.metric('demotions_total'), 1, 'nobody else was');
});

t.test('B-3: a viewer that takes nothing at all is closed with "resume", and memory stays bounded', async (t) => {
  const world = await startWorld(t);
  const stuck = await world.connect({ user: 'stuck' });
  await stuck.type('welcome');
  stuck.socket.pause();
  for (let round = 0; (await world.node.metric('demotions_total')) === 0; round += 1) {
    if (round > 600) throw new Error('nobody was demoted');
    await floodOnce(world, round);
    if (round % 2 === 0) await sleep(20);
  }
  for (let round = 0; (await world.node.metric('connections')) > 0; round += 1) {
    if (round > 60) throw new Error('the stuck viewer was not closed');
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => world.store.announce(world.show, `${i} `.padEnd(500, '.'), 'test')),
    );
  }
  t.equal(await world.node.metric('connections'), 0);
  stuck.socket.resume();
  const { code } = await stuck.closed;
  t.ok(code === 4001 || code === 1006, `closed with ${code}`);
});
