import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../src/limits.ts';
import { test, until } from './harness.ts';

test('a reconnect with a position gets the missed events, from memory (H-7, R-1, R-2.1, R-2.2)', async (t, world) => {
  const stay = await world.join({ user: 'stay' });
  const ann = await world.connect({ user: 'ann' });
  const { epoch, offset } = await ann.type('welcome');
  const seen = await stay.say('seen');
  await ann.close();
  for (let i = 0; i < 5; i += 1) await world.store.announce(world.show, `missed ${i}`, 'test');
  await stay.say('missed');
  await until(() => stay.events().length === 5 && stay.chat().length === 2, 'the node has it');
  for (const encoding of ['json', 'msgpack'] as const) {
    const query = `?epoch=${epoch}&offset=${offset}&chat=${seen.data.chat}`;
    const back = await world.connect({ user: 'viewer', role: 'viewer', encoding, query });
    const welcome = await back.type('welcome');
    t.match(welcome, { resumed: true, chat: [] });
    t.notOk('snapshot' in welcome);
    const frame = await back.find((m) => m.events?.length === 5);
    const offsets = frame.events.map((event) => event.offset);
    t.same(offsets, [offset + 1, offset + 2, offset + 3, offset + 4, offset + 5]);
    t.match(frame.state, { sales: [], viewers: Number });
    await until(() => back.lastText() === 'missed', 'chat after the position');
    t.equal(back.chat().length, 1);
  }
  t.equal(await world.node.metric('resumes_total', 'memory'), 2);
});

test('events that left the memory come from the log; without them a snapshot is sent (R-3)', async (t, world) => {
  const early = await world.connect({ user: 'early' });
  const { epoch, offset } = await early.type('welcome');
  await Promise.all(Array.from({ length: 20 }, (_, i) => world.store.announce(world.show, `event ${i}`, 'test')));
  const second = await world.addNode();
  const back = await world.connect({ user: 'ann', node: second, query: `?epoch=${epoch}&offset=${offset}` });
  t.match(await back.type('welcome'), { resumed: true });
  t.equal((await back.find((m) => m.events?.length === 20)).events[0]?.offset, offset + 1);
  t.equal(await second.metric('resumes_total', 'log'), 1);
  await world.store.announce(world.show, 'one more', 'test');
  await until(() => back.events().length === 21, 'live events follow without a gap');
  t.equal(back.events().at(-1)?.offset, offset + 21);

  const lost = await world.connect({ user: 'ann', query: '?epoch=otherepoch&offset=3' });
  const welcome = await lost.type('welcome');
  t.notOk(welcome.resumed);
  t.equal(welcome.snapshot.offset, offset + 21);
});

test('a resume of a live connection gets ok first, then the frames (M-5.3, R-4.1, R-4.2, R-5)', async (t, world) => {
  const ann = await world.connect({ user: 'ann', encoding: 'msgpack' });
  const { epoch, offset } = await ann.type('welcome');
  const resume = (from: { epoch: string; offset: number }) => ann.request({ t: 'resume', ...from });
  await Promise.all([1, 2, 3].map((n) => world.store.announce(world.show, `event ${n}`, 'test')));
  await until(() => ann.events().length === 3, 'events arrive');
  const before = ann.received.length;
  t.match(await resume({ epoch, offset }), { t: 'ok', data: { resumed: true } });
  await until(() => ann.events().length === 6, 'the events arrive again');
  t.match(ann.received.slice(before), [{ t: 'ok' }, { t: 'frame', events: [{ offset: offset + 1 }, {}, {}] }]);
  t.match(await resume({ epoch: 'gone', offset: 1 }), { t: 'ok', data: { resumed: false } });
  await ann.find((m) => m.t === 'frame' && m.snapshot?.epoch === epoch);
  t.match(await resume({ epoch, offset: offset + 1000 }), { t: 'ok', data: { resumed: false } });
  t.match(await resume({ epoch, offset: -1 }), { code: 'invalid_message', details: { field: 'offset' } });
});

test('the welcome carries the chat history up to its limit, the same on every node (C-6)', async (t, world) => {
  const writers = await world.joinMany(12, (i) => ({ user: `u${i}` }));
  await Promise.all(writers.flatMap((w, i) => Array.from({ length: 5 }, (_, n) => w.say(`${i}/${n}`))));
  const [first] = writers;
  await until(() => first?.chat().length === 60, 'all chat has arrived');
  const late = await world.join({ user: 'late', encoding: 'msgpack' });
  t.same(late.chat(), first?.chat().slice(60 - LIMITS.chatHistoryMessages));
  const other = await world.join({ user: 'other', node: await world.addNode() });
  t.same(other.chat(), late.chat(), 'a node that opens the room later has the same history');
});

test('resumes in a loop get bounded bytes, and a code with a time (I9, R-8.1, R-8.2)', async (t, world) => {
  const guest = await world.join({ token: null });
  const startedMs = performance.now();
  const asked = await Promise.all(
    Array.from({ length: 30 }, (_, i) => guest.request({ t: 'resume', id: i, epoch: 'x', offset: 0 })),
  );
  const seconds = (performance.now() - startedMs) / 1000;
  const refused = asked.filter(({ t }) => t === 'error');
  const granted = asked.length - refused.length;
  const bytesMax = LIMITS.bulkBurstBytes + seconds * LIMITS.bulkBytesPerSecond;
  t.ok(granted > 0 && granted <= Math.ceil(bytesMax / LIMITS.resumeCostBytes), `${granted} in ${seconds} s`);
  for (const each of refused) t.match(each, { code: 'rate_limited', retryAfterMs: Number });
  await sleep(refused.at(-1)?.retryAfterMs);
  t.match(await guest.request({ t: 'resume', epoch: 'x', offset: 0 }), { t: 'ok' }, 'the time is right');
  const frames = guest.received.filter(({ snapshot, t }) => snapshot !== undefined && t === 'frame');
  t.equal(frames.length, granted + 1);
});

test('many missed events come in bounded frames, too many as a snapshot (I9, R-2.3, R-3)', async (t, world) => {
  const ann = await world.join({ user: 'ann' });
  const { epoch, offset } = await ann.type('welcome');
  const text = 'x'.repeat(500);
  const announce = async (count: number): Promise<void> => {
    await Promise.all(Array.from({ length: count }, () => world.store.announce(world.show, text, 'test')));
  };
  await announce(300);
  await until(() => ann.events().length === 300, 'the node has the events');
  const query = `?epoch=${epoch}&offset=${offset}`;
  const back = await world.connect({ user: 'bo', query });
  t.match(await back.type('welcome'), { resumed: true });
  await until(() => back.events().length === 300, 'all events arrive');
  t.same(back.events(), ann.events(), 'in order');
  const sizes = back.received.map((message) => JSON.stringify(message).length);
  t.ok(sizes.length > 4 && Math.max(...sizes) < 2 * LIMITS.resumeFrameBytesTarget, String(sizes));
  await announce(300);
  await until(() => ann.events().length === 600, 'the node has the events');
  const late = await world.connect({ user: 'cy', query });
  t.notOk((await late.type('welcome')).resumed);
});

test('viewers behind on a fresh node cost one read of the log (I9, R-2.1)', async (t, world) => {
  const early = await world.connect({ user: 'early' });
  const { epoch, offset } = await early.type('welcome');
  await Promise.all(Array.from({ length: 50 }, (_, i) => world.store.announce(world.show, `event ${i}`, 'test')));
  const fresh = await world.addNode();
  const redis = world.redis.client();
  const reads = async (): Promise<number> =>
    Number(/cmdstat_xrange:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0);
  const before = await reads();
  await world.joinMany(100, (i) => ({
    ...{ token: null, node: fresh, query: `?epoch=${epoch}&offset=${offset + (i % 50)}` },
  }));
  t.equal((await reads()) - before, 1);
  t.equal(await fresh.metric('resumes_total', 'log'), 100);
});
