// slow: depends on the send buffers of the kernel
import { setTimeout as sleep } from 'node:timers/promises';
import { times } from '../support/store-fixture.ts';
import { FLOOD_MESSAGES, flood, hasFlood } from './flood.ts';
import { test, until, type World } from './harness.ts';

const demotions = ({ node }: World): Promise<number> => node.metric('demotions_total');

/** Floods until a viewer is demoted; returns the number of messages. */
async function floodUntilDemotion(world: World): Promise<number> {
  let round = 0;
  for (; (await demotions(world)) === 0; round += 1) {
    if (round > 600) throw new Error('no viewer was demoted');
    await flood(world, round);
    if (round % 2 === 0) await sleep(20);
  }
  return round * FLOOD_MESSAGES;
}

test('a slow viewer loses chat, keeps events, gets the missed count (B-1.1, B-1.2, B-2.1, B-2.2)', async (t, world) => {
  const fast = await world.join({ user: 'fast' });
  const slow = await world.join({ user: 'slow', encoding: 'msgpack' });
  slow.socket.pause();
  const total = (await floodUntilDemotion(world)) + FLOOD_MESSAGES;
  await flood(world, 10_000);
  await world.store.announce(world.show, 'while demoted', 'test');
  await until(() => fast.chat().length === total, 'the fast viewer has all chat', 8_000);
  slow.socket.resume();
  const restored = await slow.find((m) => m.missed > 0);
  t.match(restored.state, { sales: [], viewers: Number }, 'with the current state');
  await slow.find((m) => m.events?.some((e) => e.data.text === 'while demoted'));
  t.equal(slow.chat().length + restored.missed, total);
  await flood(world, 10_001);
  await until(() => hasFlood(slow, 10_001), 'chat continues after the restoration');
  t.equal(slow.chat().length, total - restored.missed + FLOOD_MESSAGES);
});

test('a viewer that does not read is demoted while the kernel still buffers (B-4.1, B-4.2)', async (t, world) => {
  const fast = await world.join({ user: 'fast' });
  const slow = await world.join({ user: 'slow' });
  slow.socket.pause();
  // 2 MB in 3 s: less than the kernel buffers per connection.
  for (let round = 0; round < 30; round += 1) {
    await flood(world, round);
    await sleep(100);
  }
  t.equal(await demotions(world), 1);
  const total = 31 * FLOOD_MESSAGES;
  await flood(world, 10_000);
  await until(() => fast.chat().length === total, 'the fast viewer has all chat', 8_000);
  slow.socket.resume();
  const restored = await slow.find((m) => m.missed > 0);
  t.equal(slow.chat().length + restored.missed, total);
  t.ok(restored.missed >= FLOOD_MESSAGES, 'the last messages were not sent');
  await flood(world, 10_001);
  await until(() => hasFlood(slow, 10_001), 'chat continues after the pong');
  t.equal(await demotions(world), 1, 'no other viewer was demoted');
});

test('a viewer above the hard limit is closed with "resume" (B-3)', async (t, world) => {
  const stuck = await world.join({ user: 'stuck' });
  stuck.socket.pause();
  await floodUntilDemotion(world);
  const connections = (): Promise<number> => world.node.metric('connections');
  for (let round = 0; (await connections()) > 0; round += 1) {
    if (round > 60) throw new Error('the viewer was not closed');
    const announce = (i: number) => world.store.announce(world.show, `${i} `.padEnd(500, '.'), 'test');
    await Promise.all(times(100, announce));
  }
  t.equal(await connections(), 0);
  stuck.socket.resume();
  const { code } = await stuck.closed;
  t.ok(code === 4001 || code === 1006, `closed with ${code}`);
});
