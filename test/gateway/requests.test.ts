import { randomBytes } from 'node:crypto';
import { encode as msgpackEncode } from '@msgpack/msgpack';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { type Client, startWorld, until } from './harness.ts';

t.test('Q-1 Q-2: frames that are no message get a coded error; too many of them end the connection', async (t) => {
  const world = await startWorld(t);
  const cases: Array<['json' | 'msgpack', string | Buffer | Uint8Array, string]> = [
    ['json', '', 'bad_frame'],
    ['json', '{"t":"chat"', 'bad_frame'],
    ['json', Buffer.from('{"t":"sync","id":1,"at":1}'), 'bad_frame'],
    ['json', '[1,2,3]', 'invalid_message'],
    ['json', 'null', 'invalid_message'],
    ['json', '"chat"', 'invalid_message'],
    ['json', '{"id":7}', 'invalid_message'],
    ['json', `{"t":"chat","id":1,"text":"${'x'.repeat(LIMITS.frameInBytesMax)}"}`, 'frame_too_large'],
    ['msgpack', Buffer.from([0xc1]), 'bad_frame'],
    ['msgpack', Buffer.from([0x81]), 'bad_frame'],
    ['msgpack', Buffer.alloc(12_000, 0x91), 'bad_frame'],
    ['msgpack', Buffer.concat([msgpackEncode({ t: 'sync', id: 1, at: 1 }), Buffer.from([1])]), 'bad_frame'],
    ['msgpack', Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]), 'bad_frame'],
    ['msgpack', '{"t":"sync","id":1,"at":1}', 'bad_frame'],
    ['msgpack', msgpackEncode([1]), 'invalid_message'],
  ];
  for (const [encoding, frame, code] of cases) {
    const client = await world.connect({ encoding });
    await client.type('welcome');
    client.socket.send(frame);
    t.match(await client.type('error'), { code, message: String }, `${encoding} ${String(frame).slice(0, 30)}`);
    t.match(await client.ask({ t: 'sync', at: 1 }), { t: 'ok' }, 'the connection lives');
    client.cut();
  }
  const hopeless = await world.connect();
  for (let i = 0; i <= LIMITS.badFramesPerConnectionMax; i += 1) hopeless.socket.send('nonsense');
  t.match(await hopeless.type('bye'), { code: 4200, reason: 'bad_frames' });
  t.equal((await hopeless.closed).code, 4200);
  t.equal(hopeless.received.filter((m) => m['t'] === 'error').length, LIMITS.badFramesPerConnectionMax + 1);
});

t.test('Q-3: random bytes never hurt anybody', async (t) => {
  const world = await startWorld(t);
  const witness = await world.connect({ user: 'witness' });
  for (let i = 0; i < 20; i += 1) {
    const fuzz = await world.connect({ user: `f${i}`, encoding: i % 2 ? 'json' : 'msgpack' });
    for (let n = 0; n < 8; n += 1) fuzz.socket.send(i % 2 ? randomBytes(50).toString('latin1') : randomBytes(n * 20));
    await until(() => fuzz.received.filter((m) => m['t'] === 'error').length === 8, 'eight errors');
    fuzz.cut();
  }
  t.match(await witness.ask({ t: 'chat', text: 'still here' }), { t: 'ok' });
});

t.test('Q-4: wrong fields name the field, and the answer carries the id', async (t) => {
  const world = await startWorld(t);
  let client: Client = await world.connect();
  const line = { sku: 'shirt-m', qty: 1 };
  const cases: Array<[Record<string, unknown>, string, string?]> = [
    [{ t: 'chat', text: '' }, 'invalid_message', 'text'],
    [{ t: 'chat', text: '  \n ' }, 'invalid_message', 'text'],
    [{ t: 'chat', text: 5 }, 'invalid_message', 'text'],
    [{ t: 'chat', text: 'x'.repeat(LIMITS.chatTextCharsMax + 1) }, 'invalid_message', 'text'],
    [{ t: 'react', n: 0 }, 'invalid_message', 'n'],
    [{ t: 'react', n: 1e9 }, 'invalid_message', 'n'],
    [{ t: 'reserve', sale: 's', lines: [line] }, 'invalid_message', 'key'],
    [{ t: 'reserve', key: 'k', sale: ['s'], lines: [line] }, 'invalid_message', 'sale'],
    [{ t: 'reserve', key: 'k', sale: 's', lines: [] }, 'invalid_message', 'lines'],
    [
      { t: 'reserve', key: 'k', sale: 's', lines: Array(LIMITS.linesPerReservationMax + 1).fill(line) },
      'invalid_message',
      'lines',
    ],
    [{ t: 'reserve', key: 'k', sale: 's', lines: [{ sku: 'a', qty: -1 }] }, 'invalid_message', 'lines[0].qty'],
    [{ t: 'reserve', key: 'k', sale: 's', lines: [line, { sku: 'a', qty: 1.5 }] }, 'invalid_message', 'lines[1].qty'],
    [{ t: 'reserve', key: 'k', sale: 's', lines: [{ sku: 'a', qty: 1e15 }] }, 'invalid_message', 'lines[0].qty'],
    [{ t: 'reserve', key: 'k', sale: 's', lines: [null] }, 'invalid_message', 'lines[0]'],
    [{ t: 'release', key: 'k' }, 'invalid_message', 'reservation'],
    [{ t: 'waitlist', key: 'k', op: 'hop', sale: 's', sku: 'a' }, 'invalid_message', 'op'],
    [{ t: 'sync', at: 'now' }, 'invalid_message', 'at'],
    [{ t: 'resume', epoch: 'e' }, 'invalid_message', 'offset'],
    [{ t: 'teleport' }, 'unknown_type'],
    [{ t: 'reserve', key: 'k', sale: 'nosuchsale', lines: [line] }, 'sale_not_found'],
    [{ t: 'release', key: 'k', reservation: 'nosuchreservation' }, 'reservation_not_found'],
  ];
  for (const [i, [message, code, field]] of cases.entries()) {
    if (i % 15 === 0) client = await world.connect({ user: `u${i}` });
    const answer = await client.ask({ ...message, id: i });
    t.match(
      answer,
      { t: 'error', id: i, code, ...(field === undefined ? {} : { details: { field } }) },
      JSON.stringify(message).slice(0, 60),
    );
  }
  client.send({ t: 'chat', id: { a: 1 }, text: 'x' });
  t.match(await client.find((m) => m['t'] === 'error' && m['details']?.field === 'id'), { code: 'invalid_message' });
});

t.test('L-1: chat and requests are limited per connection, and chat per person', async (t) => {
  const world = await startWorld(t);
  const [one, two] = await Promise.all([world.connect({ user: 'ann' }), world.connect({ user: 'ann' })]);
  const answers = await Promise.all(
    [one, two].flatMap((c) => Array.from({ length: 6 }, (_, i) => c.ask({ t: 'chat', text: `m${i}` }))),
  );
  const refused = answers.filter((a) => a['t'] === 'error');
  t.ok(refused.length >= 5, 'six at once for one person, however many connections');
  for (const answer of refused) t.match(answer, { code: 'rate_limited', retryAfterMs: Number });
  const flood = await world.connect({ user: 'bob' });
  const syncs = await Promise.all(Array.from({ length: 60 }, () => flood.ask({ t: 'sync', at: 1 })));
  t.ok(syncs.some((a) => a['code'] === 'rate_limited'));
  t.ok(syncs.filter((a) => a['t'] === 'ok').length >= 2 * LIMITS.requestRatePerSecond);
});

t.test('L-2: slow mode', async (t) => {
  const world = await startWorld(t);
  await world.store.updateShow(world.show, { slowModeMs: 60_000 }, 'test');
  const ann = await world.connect({ user: 'ann' });
  const host = await world.connect({ user: 'hostess', role: 'host' });
  t.match(await ann.ask({ t: 'chat', text: 'one' }), { t: 'ok' });
  t.match(await ann.ask({ t: 'chat', text: 'two' }), { t: 'error', code: 'rate_limited' });
  t.match(await host.ask({ t: 'chat', text: 'one' }), { t: 'ok' });
  t.match(await host.ask({ t: 'chat', text: 'two' }), { t: 'ok' });
  await until(() => ann.chat().length === 3, 'chat arrives');
  const marks = ann.received.flatMap((m) => (m['chat'] ?? []).flatMap((g) => g[2].map((item) => item[4])));
  t.same(marks, [undefined, 3, 3], 'the host is marked');
});

t.test('the end of a show ends its chat', async (t) => {
  const world = await startWorld(t);
  const ann = await world.connect();
  await ann.type('welcome');
  await world.store.endShow(world.show, 'test');
  await ann.find((m) => m['events']?.some((e) => e.type === 'show.ended'));
  t.match(await ann.ask({ t: 'chat', text: 'too late' }), { t: 'error', code: 'show_ended' });
});

t.test('a sale from the countdown to the last unit: refused early, opened on the dot, sold out once', async (t) => {
  const world = await startWorld(t);
  const buyers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => world.connect({ user: `b${i}`, encoding: i % 2 ? 'json' : 'msgpack' })),
  );
  await Promise.all(buyers.map((b) => b.type('welcome')));
  const sale = await world.openSale({ quantity: 5, perBuyer: 1, opensInMs: 1_500 });
  const [first] = buyers;
  await Promise.all(
    buyers.map((b) =>
      b.find((m) => m['events']?.some((e) => e.type === 'sale.scheduled' || e.type === 'sale.created')),
    ),
  );
  const early = await (first as Client).ask({ t: 'reserve', key: 'early', sale, lines: [{ sku: 'shirt-m', qty: 1 }] });
  t.match(early, { t: 'error', code: 'sale_not_open', retryAfterMs: Number, details: { opensAt: Number } });
  const tick = await first?.find((m) => m['state']?.countdowns?.length > 0);
  t.match(tick?.['state'].countdowns, [{ sale, to: 'open', at: early['details'].opensAt, remainingMs: Number }]);
  const opened = await Promise.all(
    buyers.map((b) => b.find((m) => m['events']?.some((e) => e.type === 'sale.opened'))),
  );
  const openedAt = opened[0]?.['events'].find((e) => e.type === 'sale.opened')?.at ?? 0;
  t.ok(openedAt >= early['details'].opensAt, 'not a millisecond early');
  const answers = await Promise.all(
    buyers.map((b) => b.ask({ t: 'reserve', key: 'rush', sale, lines: [{ sku: 'shirt-m', qty: 1 }] })),
  );
  t.equal(answers.filter((a) => a['t'] === 'ok').length, 5);
  t.ok(answers.filter((a) => a['t'] === 'error').every((a) => a['code'] === 'sold_out'));
  await until(
    () => buyers.every((b) => b.events().some((e) => e.type === 'sale.sold_out')),
    'everybody hears it is sold out',
  );
  const late = await Promise.all(
    buyers.map((b) => b.ask({ t: 'reserve', key: 'late', sale, lines: [{ sku: 'shirt-m', qty: 1 }] })),
  );
  t.ok(late.every((a) => a['code'] === 'sold_out' || a['code'] === 'limit_exceeded'));
  await until(async () => {
    const verified = await world.store.verify(world.show);
    if (!verified.ok) return false;
    const { violations, refusals, localRefusals } = verified.value;
    return violations.length === 0 && refusals >= 16 && localRefusals >= 15;
  }, 'the ledger has all refusals, most of which came from the node');
  const repeated = await Promise.all(
    buyers.map((b) => b.ask({ t: 'reserve', key: 'rush', sale, lines: [{ sku: 'shirt-m', qty: 1 }] })),
  );
  t.same(
    repeated.map((a) => a['data']?.reservation.id ?? a['code']),
    answers.map((a) => a['data']?.reservation.id ?? a['code']),
    'a repeated key gets its recorded answer',
  );
});

t.test('encodes: once per variant in use, however many viewers', async (t) => {
  const world = await startWorld(t);
  const viewers = await Promise.all(Array.from({ length: 30 }, (_, i) => world.connect({ user: `u${i}` })));
  await Promise.all(viewers.map((v) => v.type('welcome')));
  await until(
    () => viewers.every((v) => v.received.some((m) => (m['state'] ?? m['snapshot']?.state)?.viewers === 30)),
    'counts settle',
  );
  const { encodes } = world.node.metrics;
  const before = { ...encodes };
  const framesBefore = await world.node.metric('frames_out_total');
  await world.store.announce(world.show, 'hello', 'test');
  await viewers[0]?.ask({ t: 'chat', text: 'hello' });
  await until(() => viewers.every((v) => v.chat().length === 1 && v.events().length === 1), 'everybody has both');
  t.equal(encodes.json - before.json, 2, 'one for the event, one for the chat');
  t.equal(encodes.msgpack - before.msgpack, 0, 'nobody uses MessagePack');
  t.equal((await world.node.metric('frames_out_total')) - framesBefore, 2);
});
