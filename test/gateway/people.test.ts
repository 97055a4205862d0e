/** One person on several nodes: muted everywhere, one rate, counted once. */
import t from 'tap';
import type { Client, Message } from './harness.ts';
import { startWorld, until } from './harness.ts';

const welcomed = (clients: readonly Client[]): Promise<unknown> =>
  Promise.all(clients.map((client) => client.type('welcome')));
const codes = (answers: readonly Message[]): unknown[] =>
  answers.map(({ t: type, code }) => (type === 'ok' ? 'ok' : code));

t.test('L-4: a muted user is refused on every node, also one that starts later, until the mute ends', async (t) => {
  const world = await startWorld(t);
  const second = await world.addNode();
  const here = await world.connect({ user: 'troll' });
  const there = await world.connect({ user: 'troll', node: second });
  await welcomed([here, there]);
  t.equal((await here.ask({ t: 'chat', text: 'boo' })).t, 'ok');
  const muted = await world.store.mute(world.show, 'troll', 60_000);
  t.ok(muted.ok);
  await until(async () => (await there.ask({ t: 'chat', text: 'boo' })).code === 'muted', 'the other node knows');
  const refused = await here.ask({ t: 'chat', text: 'boo' });
  t.match(refused, { t: 'error', code: 'muted' });
  t.ok(refused.retryAfterMs > 50_000 && refused.retryAfterMs <= 60_000, String(refused.retryAfterMs));
  const later = await world.connect({ user: 'troll', node: await world.addNode() });
  t.equal((await later.ask({ t: 'chat', text: 'boo' })).code, 'muted');
  t.equal((await later.ask({ t: 'react', n: 1 })).t, 'ok', 'only the chat is closed');
  const seen = here.received.flatMap((m) => m.events ?? []).length;
  t.ok(await world.store.mute(world.show, 'troll', 1_000));
  await until(async () => (await here.ask({ t: 'chat', text: 'sorry' })).t === 'ok', 'it ends by itself');
  await world.store.mute(world.show, 'troll', 60_000);
  await world.store.unmute(world.show, 'troll');
  await until(async () => (await there.ask({ t: 'chat', text: 'sorry' })).code !== 'muted', 'or is lifted');
  t.equal(here.received.flatMap((m) => m.events ?? []).length, seen, 'viewers are told nothing of it');
});

t.test('L-3: one rate and one slow mode for a person, over nodes and reconnects', async (t) => {
  const world = await startWorld(t);
  const second = await world.addNode();
  const here = await world.connect({ user: 'ann' });
  const there = await world.connect({ user: 'ann', node: second });
  const other = await world.connect({ user: 'bob', node: second });
  await welcomed([here, there, other]);
  t.same(
    codes(await Promise.all(Array.from({ length: 6 }, (_, i) => here.ask({ t: 'chat', text: `${i}` })))),
    Array(6).fill('ok'),
  );
  await until(() => other.chat().length === 6, 'the other node has heard of it');
  t.match(await there.ask({ t: 'chat', text: 'more' }), { code: 'rate_limited' });
  t.equal((await other.ask({ t: 'chat', text: 'me too' })).t, 'ok', 'others have theirs');
  await here.close();
  const back = await world.connect({ user: 'ann' });
  await back.type('welcome');
  t.match(await back.ask({ t: 'chat', text: 'more' }), { code: 'rate_limited' }, 'nor does reconnecting help');

  await world.store.updateShow(world.show, { slowModeMs: 60_000 }, 'test');
  const cyd = [await world.connect({ user: 'cyd' }), await world.connect({ user: 'cyd', node: second })];
  await welcomed(cyd);
  t.equal((await cyd[0]?.ask({ t: 'chat', text: 'slowly' }))?.t, 'ok');
  await until(() => cyd[1]?.chat().at(-1)?.[2] === 'slowly', 'heard of');
  const slow = await cyd[1]?.ask({ t: 'chat', text: 'at once' });
  t.match(slow, { code: 'rate_limited' });
  t.ok((slow?.retryAfterMs ?? 0) > 50_000);
  await cyd[0]?.close();
  const cydAgain = await world.connect({ user: 'cyd' });
  t.match(await cydAgain.ask({ t: 'chat', text: 'at once' }), { code: 'rate_limited' });
});

t.test('S-3: unique viewers: people once, on whatever node and however often; guests are not in it', async (t) => {
  const world = await startWorld(t);
  const second = await world.addNode();
  const ann = await world.connect({ user: 'ann' });
  for (const node of [world.node, second]) {
    for (const user of ['ann', 'bob', 'cyd']) await (await world.connect({ user, node })).type('welcome');
    await (await world.connect({ token: null, node })).type('welcome');
  }
  await ann.find((m) => m.state?.unique === 3);
  await ann.find((m) => m.state?.viewers === 9);
  t.match(await world.store.viewerNumbers(world.show), { ok: true, value: { viewers: 9, unique: 3 } });
  const late = await world.connect({ user: 'dee', node: second });
  await ann.find((m) => m.state?.unique === 4);
  t.match((await late.type('welcome')).snapshot.state, { unique: Number });
});
