import { randomBytes } from 'node:crypto';
import { encode as msgpackEncode } from '@msgpack/msgpack';
import { LIMITS } from '../../src/limits.ts';
import type { Client, Message } from './client.ts';
import { test, until } from './harness.ts';

test('invalid frames get errors; too many close a connection (M-1.1, Q-1.1, Q-1.2, Q-2.1, Q-2.2)', async (t, world) => {
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
    const client = await world.join({ encoding });
    client.socket.send(frame);
    t.match(await client.type('error'), { code, message: String }, `${encoding} ${String(frame).slice(0, 30)}`);
    t.match(await client.request({ t: 'sync', at: 1 }), { t: 'ok' }, 'the connection stays open');
    client.terminate();
  }
  const invalid = await world.connect();
  for (let i = 0; i <= LIMITS.badFramesPerConnectionMax; i += 1)
    invalid.socket.send(i % 2 === 0 ? '{"id":1,"text":"no type"}' : 'nonsense');
  t.match(await invalid.type('bye'), { code: 4200, reason: 'bad_frames' });
  t.equal((await invalid.closed).code, 4200);
  t.equal(invalid.received.filter((m) => m.t === 'error').length, LIMITS.badFramesPerConnectionMax + 1);
});

test('random bytes get errors and do not affect other viewers (Q-3)', async (t, world) => {
  const other = await world.connect({ user: 'other' });
  for (let i = 0; i < 20; i += 1) {
    const fuzz = await world.connect({ user: `f${i}`, encoding: i % 2 ? 'json' : 'msgpack' });
    for (let n = 0; n < 8; n += 1) fuzz.socket.send(i % 2 ? randomBytes(50).toString('latin1') : randomBytes(n * 20));
    await until(() => fuzz.received.filter((m) => m.t === 'error').length === 8, 'eight errors');
    fuzz.terminate();
  }
  t.match(await other.say('still here'), { t: 'ok' });
});

test('an error names the invalid field and carries the id of the request (M-1.4, Q-4)', async (t, world) => {
  let client: Client = await world.connect();
  const line = { sku: 'shirt-m', qty: 1 };
  const reserve = (lines: unknown) => ({ t: 'reserve', key: 'k', sale: 's', lines });
  const cases: Array<[Record<string, unknown>, string, string?]> = [
    [{ t: 'chat', text: '' }, 'invalid_message', 'text'],
    [{ t: 'chat', text: '  \n ' }, 'invalid_message', 'text'],
    [{ t: 'chat', text: 5 }, 'invalid_message', 'text'],
    [{ t: 'chat', text: 'x'.repeat(LIMITS.chatTextCharsMax + 1) }, 'invalid_message', 'text'],
    [{ t: 'react', n: 0 }, 'invalid_message', 'n'],
    [{ t: 'react', n: 1e9 }, 'invalid_message', 'n'],
    [{ t: 'reserve', sale: 's', lines: [line] }, 'invalid_message', 'key'],
    [{ t: 'reserve', key: 'k', sale: ['s'], lines: [line] }, 'invalid_message', 'sale'],
    [reserve([]), 'invalid_message', 'lines'],
    [reserve(Array(LIMITS.linesPerReservationMax + 1).fill(line)), 'invalid_message', 'lines'],
    [reserve([{ sku: 'a', qty: -1 }]), 'invalid_message', 'lines[0].qty'],
    [reserve([line, { sku: 'a', qty: 1.5 }]), 'invalid_message', 'lines[1].qty'],
    [reserve([{ sku: 'a', qty: 1e15 }]), 'invalid_message', 'lines[0].qty'],
    [reserve([null]), 'invalid_message', 'lines[0]'],
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
    const expected = { t: 'error', id: i, code, ...(field === undefined ? {} : { details: { field } }) };
    t.match(await client.request({ ...message, id: i }), expected, JSON.stringify(message).slice(0, 60));
  }
  client.send({ t: 'chat', id: { a: 1 }, text: 'x' });
  t.match(await client.find((m) => m.t === 'error' && m.details?.field === 'id'), { code: 'invalid_message' });
});

test('chat and requests are limited per connection, chat also per user (L-1.1, L-1.2, L-1.4)', async (t, world) => {
  const [one, two] = await Promise.all([world.connect({ user: 'ann' }), world.connect({ user: 'ann' })]);
  const replies = await Promise.all([one, two].flatMap((c) => Array.from({ length: 6 }, (_, i) => c.say(`m${i}`))));
  const refused = replies.filter((reply) => reply.t === 'error');
  t.ok(refused.length >= 5, 'the burst is six messages per user, over all connections');
  for (const reply of refused) t.match(reply, { code: 'rate_limited', retryAfterMs: Number });
  const bob = await world.connect({ user: 'bob' });
  const syncs = await Promise.all(Array.from({ length: 60 }, () => bob.request({ t: 'sync', at: 1 })));
  t.ok(syncs.some((reply) => reply.code === 'rate_limited'));
  t.ok(syncs.filter((reply) => reply.t === 'ok').length >= 2 * LIMITS.requestRatePerSecond);
});

test('slow mode limits viewers and not hosts (H-5.4, L-2)', async (t, world) => {
  await world.store.updateShow(world.show, { slowModeMs: 60_000 }, 'test');
  const ann = await world.connect({ user: 'ann' });
  const host = await world.connect({ user: 'hostess', role: 'host' });
  t.match(await ann.say('one'), { t: 'ok' });
  t.match(await ann.say('two'), { t: 'error', code: 'rate_limited' });
  t.match(await host.say('one'), { t: 'ok' });
  t.match(await host.say('two'), { t: 'ok' });
  await until(() => ann.chat().length === 3, 'chat arrives');
  const marks = ann.received.flatMap(({ chat = [] }) => chat.flatMap(([, , items]) => items.map((item) => item[4])));
  t.same(marks, [undefined, 3, 3], 'chat of the host is marked');
});

test('chat is refused after the end of the show', async (t, world) => {
  const ann = await world.join();
  await world.store.endShow(world.show, 'test');
  await ann.event('show.ended');
  t.match(await ann.say('too late'), { t: 'error', code: 'show_ended' });
});

test('a sale refuses before it opens, opens on time, sells units once (S-4.1, S-5.1, S-5.2, T-4)', async (t, world) => {
  const buyers = await world.joinMany(20, (i) => ({ user: `b${i}`, encoding: i % 2 ? 'json' : 'msgpack' }));
  const [first] = buyers as [Client];
  const sale = await world.openSale({ perBuyer: 1, opensInMs: 1_500 });
  const reserveAll = (key: string) => Promise.all(buyers.map((buyer) => buyer.reserve(sale, key)));
  await Promise.all(buyers.map((buyer) => Promise.any(['sale.scheduled', 'sale.created'].map((e) => buyer.event(e)))));
  const early = await first.reserve(sale, 'early');
  t.match(early, { t: 'error', code: 'sale_not_open', retryAfterMs: Number, details: { opensAt: Number } });
  const { opensAt } = early.details;
  const tick = await first.find((m) => m.state?.countdowns?.length > 0);
  t.match(tick.state.countdowns, [{ sale, to: 'open', at: opensAt, remainingMs: Number }]);
  const opened = await Promise.all(buyers.map((buyer) => buyer.event('sale.opened')));
  const openedAt = opened[0]?.events.find((e) => e.type === 'sale.opened')?.at ?? 0;
  t.ok(openedAt >= opensAt, 'not before its opening time');
  const replies = await reserveAll('rush');
  t.equal(replies.filter((reply) => reply.t === 'ok').length, 5);
  t.ok(replies.filter((reply) => reply.t === 'error').every((reply) => reply.code === 'sold_out'));
  await Promise.all(buyers.map((buyer) => buyer.event('sale.sold_out')));
  const late = await reserveAll('late');
  t.ok(late.every((reply) => reply.code === 'sold_out' || reply.code === 'limit_exceeded'));
  await until(async () => {
    const verified = await world.store.verify(world.show);
    if (!verified.ok) return false;
    const { violations, refusals, localRefusals } = verified.value;
    return violations.length === 0 && refusals >= 16 && localRefusals >= 15;
  }, 'the ledger has all refusals, most of which came from the node');
  const repeated = await reserveAll('rush');
  const resultOf = (reply: Message): string | number => reply.data?.reservation.id ?? reply.code;
  t.same(repeated.map(resultOf), replies.map(resultOf), 'a repeated key gets its recorded result');
});

test('a broadcast is encoded once per variant in use', async (t, world) => {
  const viewers = await world.joinMany(30, (i) => ({ user: `u${i}` }));
  const hasCount = (m: Message): boolean => (m.state ?? m.snapshot?.state)?.viewers === 30;
  await until(() => viewers.every(({ received }) => received.some(hasCount)), 'viewer counts have arrived');
  const { encodes } = world.node.metrics;
  const before = { ...encodes };
  const framesBefore = await world.node.metric('frames_out_total');
  await world.store.announce(world.show, 'hello', 'test');
  await viewers[0]?.say('hello');
  await until(() => viewers.every((v) => v.chat().length === 1 && v.events().length === 1), 'all viewers have both');
  t.equal(encodes.json - before.json, 2, 'one for the event, one for the chat');
  t.equal(encodes.msgpack - before.msgpack, 0, 'no viewer uses MessagePack');
  t.equal((await world.node.metric('frames_out_total')) - framesBefore, 2);
});
