/** The SDK against the real gateway, control API and Redis, in both encodings. */
import t from 'tap';
import { WebSocket } from 'ws';
import { connect, type StampedeClient } from '../../src/client/index.ts';
import { msgpack } from '../../src/client/msgpack.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { until } from '../support/until.ts';

const textsOf = ({ model }: StampedeClient): string[] => model.chat.map(({ text }) => text);
/** A reservation of one shirt. */
const ONE = { sale: 'flash', lines: [{ sku: 'TEE-M', qty: 1 }] };
const SALE = { id: 'flash', title: 'Drop', currency: 'EUR', perBuyer: 2, holdMs: 15_000, durationMs: 60_000 };
const skus = [{ sku: 'TEE-M', product: 'tee', price: 1990, quantity: 3 }];

t.test('chat, hearts, counts and events reach viewers of both encodings (C-3)', async (t) => {
  const engine = await startLiveEngine(t);
  const ana = await engine.join('ana', {});
  const bo = await engine.join('bo', { codec: msgpack });
  const sent = await ana.chat('hello 👋 <b>');
  await until(() => bo.model.chat.length > 0, 'the message reaches the other encoding');
  t.match(bo.model.chat[0], { name: 'ana', text: 'hello 👋 <b>', id: sent.ok ? sent.value.chat : -1 });
  bo.heart(3);
  await until(() => ana.model.hearts === 3 && ana.model.viewers === 2, 'counters');
  await engine.office.announce(SHOW, 'soon!');
  await engine.office.pin(SHOW, 'cap');
  await until(() => [ana, bo].every(({ model }) => model.announcement?.text === 'soon!'), 'the announcement');
  await until(() => bo.model.show?.pinned === 'cap', 'the pin');
  t.equal(ana.stats.gaps + bo.stats.gaps, 0);
  t.ok(ana.clock().errorMs < 500, `clock error ${ana.clock().errorMs}`);
  const late = await engine.join('cy');
  t.same(textsOf(late), ['hello 👋 <b>'], 'recent chat comes with the welcome');
  t.equal(late.model.show?.pinned, 'cap');
  const guest = connect({ url: engine.gatewayUrl, show: SHOW, WebSocket });
  t.teardown(() => guest.close());
  await new Promise((resolve) => guest.once('welcome', resolve));
  t.match(await guest.chat('let me'), { ok: false, error: { code: 'forbidden' } });
});

t.test('countdown, reserve, repeat with the same key, confirm and release (I4, Q-7.2, Q-7.3, T-3.2)', async (t) => {
  const engine = await startLiveEngine(t);
  const ana = await engine.join('ana', { codec: msgpack });
  const sale = await engine.office.createSale(SHOW, { ...SALE, opensInMs: 1_200, skus }, 'k-sale');
  await until(() => ana.model.sales.has('flash'), 'the sale is announced');
  const countdown = ana.countdown('flash');
  t.match(countdown, { to: 'open', at: sale.opensAt });
  t.ok((countdown?.remainingMs ?? 9_999) <= 1_200);
  t.match(await ana.reserve(ONE), { ok: false, error: { code: 'sale_not_open' } });
  await until(() => ana.model.sales.get('flash')?.state === 'open', 'it opens on time');
  t.match(ana.countdown('flash'), { to: 'close' });

  const lines = [{ sku: 'TEE-M', qty: 2 }];
  const first = await ana.reserve({ sale: 'flash', lines, key: 'mine' });
  t.match(first, { ok: true, value: { replayed: false, reservation: { state: 'held', amount: 3980 } } });
  t.match(await ana.reserve({ sale: 'flash', lines, key: 'mine' }), { ok: true, value: { replayed: true } });
  t.match(await ana.reserve({ ...ONE, key: 'mine' }), { ok: false, error: { code: 'idempotency_conflict' } });
  t.match(await ana.reserve(ONE), { ok: false, error: { code: 'limit_exceeded' } });
  await until(() => ana.model.sales.get('flash')?.skus[0]?.left === 1, 'units left');

  const id = first.ok ? first.value.reservation.id : '';
  await engine.office.confirm(SHOW, id, { orderRef: 'ORD-1', amount: 3980 }, 'pay-1');
  await until(() => ana.model.reservations.get(id)?.state === 'confirmed', 'the buyer gets the order');

  const bo = await engine.join('bo');
  const held = await bo.reserve(ONE);
  await until(() => ana.model.sales.get('flash')?.skus[0]?.left === 0, 'none left');
  const released = await bo.release(held.ok ? held.value.reservation.id : '');
  t.match(released, { ok: true, value: { reservation: { state: 'released' } } });
  await until(() => ana.model.sales.get('flash')?.skus[0]?.left === 1, 'the unit is free');
  t.same((await engine.office.verify(SHOW)).violations, []);
});

t.test('a lost connection is resumed with what was missed, and a request made meanwhile succeeds (I7)', async (t) => {
  const engine = await startLiveEngine(t);
  const ana = await engine.join('ana', { random: () => 0.2 });
  const bo = await engine.join('bo');
  await bo.chat('one');
  await until(() => ana.model.chat.length === 1, 'first message');
  await engine.office.createSale(SHOW, { ...SALE, opensInMs: 0, skus }, 'k-sale');
  await until(() => ana.model.sales.get('flash')?.state === 'open', 'open');
  const held = await ana.reserve(ONE);
  const offsets: number[] = [];
  ana.on('event', ({ offset }) => offsets.push(offset));
  const before = ana.model.offset;
  ana.reconnect();
  t.not(ana.status.at, 'open');
  await bo.chat('two');
  await engine.office.announce(SHOW, 'while you were away');
  await engine.office.announce(SHOW, 'and again');
  t.ok((await ana.reserve(ONE)).ok, 'a request made while disconnected is sent after the reconnect');
  await until(() => ana.model.announcement?.text === 'and again' && ana.model.chat.length === 2, 'caught up');
  t.same(offsets, [before + 1, before + 2], 'every missed event once, in order');
  t.same(textsOf(ana), ['one', 'two']);
  t.match(ana.stats, { connects: 2, resumes: 1, snapshots: 1, gaps: 0 });
  const { id } = held.ok ? held.value.reservation : { id: '' };
  t.equal(ana.model.reservations.get(id)?.state, 'held', 'the welcome contains the holds');
});
