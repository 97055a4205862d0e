/**
 * The client's model of a show: ordered events, newest revision wins, nothing twice, gaps noticed.
 */
import t from 'tap';
import { Model } from '../../src/client/model.ts';
import type { Frame, ReservationView, SaleView, ShowEvent, Snapshot, Welcome } from '../../src/protocol/messages.ts';
import { showView } from '../support/show-view.ts';

const sale = (rev: number, left: number, more: Partial<SaleView> = {}): SaleView => ({
  id: 'flash',
  title: 'Flash',
  state: 'scheduled',
  opensAt: 1000,
  closesAt: 2000,
  holdMs: 15_000,
  perBuyer: 2,
  currency: 'EUR',
  rev,
  skus: [
    { sku: 'A', product: 'p', price: 100, left },
    { sku: 'B', product: 'p', price: 100, left: 7 },
  ],
  ...more,
});
const snapshot = (offset: number, more: Partial<Snapshot> = {}): Snapshot => ({
  epoch: 'e1',
  offset,
  products: [{ id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'A' }, { sku: 'B' }] }],
  sales: [sale(5, 10)],
  state: { viewers: 3, hearts: 9 },
  show: showView({ id: 's', brands: [{ id: 'b', name: 'B' }] }),
  ...more,
});
const welcome = (more: Partial<Welcome> = {}): Welcome => ({
  t: 'welcome',
  v: 1,
  at: 1,
  node: 'n',
  epoch: 'e1',
  offset: 4,
  chat: [],
  you: { user: 'u', name: 'U', role: 'buyer', expiresAt: null, reservations: [], waits: [] },
  limits: { frameBytes: 1, chatChars: 1, chatPerSecond: 1, requestsPerSecond: 1, heartbeatMs: 1, idleMs: 1 },
  ...more,
});
const frame = (more: Partial<Frame>): Frame => ({ t: 'frame', at: 1, epoch: 'e1', ...more });
const event = (offset: number, type: ShowEvent['type'], data: Record<string, unknown>): ShowEvent => ({
  offset,
  at: 1,
  type,
  data,
});
const hold = (state: ReservationView['state'], id = 'r1'): ReservationView => ({
  id,
  sale: 'flash',
  user: 'u',
  state,
  lines: [{ sku: 'A', qty: 1 }],
  amount: 100,
  currency: 'EUR',
  createdAt: 1,
  heldUntil: 15_001,
});
const begun = (): Model => {
  const model = new Model();
  model.applyWelcome(welcome({ snapshot: snapshot(4) }));
  return model;
};

t.test('a welcome with a snapshot replaces everything (W-2.2)', async (t) => {
  const model = begun();
  t.equal(model.show?.title, 'S');
  t.equal(model.sales.get('flash')?.rev, 5);
  t.equal(model.viewers, 3);
  t.same([model.epoch, model.offset], ['e1', 4]);
});

t.test('events apply in order and once; nothing after a gap is applied (E-2.1, E-2.2, E-2.3)', async (t) => {
  const model = begun();
  const first = model.applyFrame(
    frame({ events: [event(4, 'announcement', { text: 'old' }), event(5, 'announcement', { text: 'five' })] }),
  );
  t.same(
    first.events.map(({ offset }) => offset),
    [5],
  );
  t.equal(model.announcement?.text, 'five');
  const hole = model.applyFrame(frame({ events: [event(7, 'announcement', { text: 'seven' })] }));
  t.equal(hole.gap, true);
  t.equal(model.offset, 5);
  const healed = model.applyFrame(
    frame({ events: [event(6, 'announcement', { text: 'six' }), event(7, 'announcement', { text: 'seven' })] }),
  );
  t.equal(healed.gap, false);
  t.equal(model.offset, 7);
  t.equal(
    model.applyFrame(frame({ epoch: 'e2', events: [event(8, 'announcement', { text: 'other log' })] })).gap,
    true,
    'events of another epoch are a gap',
  );
});

t.test('of sale states the newest revision wins, whatever the order (S-2.2, S-2.3)', async (t) => {
  const model = begun();
  model.applyFrame(
    frame({
      state: { sales: [{ id: 'flash', rev: 9, state: 'open', opensAt: 1000, closesAt: 3000, left: { A: 2 } }] },
    }),
  );
  t.match(model.sales.get('flash'), { rev: 9, state: 'open', closesAt: 3000, title: 'Flash' });
  t.same(
    model.sales.get('flash')?.skus.map(({ left }) => left),
    [2, 7],
    'what did not change stays',
  );
  model.applyFrame(
    frame({
      state: { sales: [{ id: 'flash', rev: 8, state: 'open', opensAt: 1000, closesAt: 2000, left: { A: 9 } }] },
      events: [event(5, 'sale.opened', { sale: sale(7, 10, { state: 'open' }) })],
    }),
  );
  t.match(model.sales.get('flash'), { rev: 9, closesAt: 3000 });
  t.equal(model.sales.get('flash')?.skus[0]?.left, 2);
  model.applyFrame(frame({ events: [event(6, 'sale.ended', { sale: sale(12, 1, { state: 'ended' }) })] }));
  t.match(model.sales.get('flash'), { rev: 12, state: 'ended' });
});

t.test('products, pins and shows follow their events', async (t) => {
  const model = begun();
  model.applyFrame(
    frame({
      events: [
        event(5, 'product.saved', { product: { id: 'q', brand: 'b', title: 'Q', skus: [] } }),
        event(6, 'product.removed', { product: 'p' }),
      ],
    }),
  );
  t.same([...model.products.keys()], ['q']);
  model.applyFrame(
    frame({
      events: [
        event(7, 'product.pinned', { product: 'q' }),
        event(8, 'show.ended', { show: { ...snapshot(0).show, state: 'ended' } }),
      ],
    }),
  );
  t.equal(model.show?.state, 'ended');
});

t.test('chat appears once, also when a resume repeats it (C-1, C-2.1, C-2.2, C-4.3)', async (t) => {
  const model = begun();
  const got = model.applyFrame(
    frame({
      chat: [
        [
          10,
          1000,
          [
            [0, 0, 'a', 'hi'],
            [1, 5, 'b', 'yo', 3],
          ],
        ],
      ],
    }),
  );
  t.same(got.chat, [
    { id: 10, at: 1000, name: 'a', text: 'hi', mark: 0 },
    { id: 11, at: 1500, name: 'b', text: 'yo', mark: 3 },
  ]);
  const again = model.applyFrame(
    frame({
      chat: [
        [
          10,
          1000,
          [
            [1, 5, 'b', 'yo', 3],
            [2, 9, 'c', 'new'],
          ],
        ],
      ],
    }),
  );
  t.same(
    again.chat.map(({ id }) => id),
    [12],
  );
  t.equal(model.lastChat, 12);
  for (let i = 0; i < 5_000; i += 1) model.applyFrame(frame({ chat: [[100 + i, 1, [[0, 0, 'a', 'x']]]] }));
  t.ok(model.chat.length <= 400, 'bounded');
});

t.test('a hold that ended stays ended', async (t) => {
  const model = begun();
  model.applyReservation(hold('expired'));
  model.applyReservation(hold('held'));
  t.equal(model.reservations.get('r1')?.state, 'expired');
  model.applyReservation(hold('held', 'r2'));
  model.applyWelcome(
    welcome({
      resumed: true,
      you: { user: 'u', name: 'U', role: 'buyer', expiresAt: null, reservations: [hold('confirmed', 'r3')], waits: [] },
    }),
  );
  t.same([...model.reservations.keys()].sort(), ['r1', 'r3'], 'a welcome says what is live; ends stay to be read');
  for (let i = 0; i < 100; i += 1) model.applyReservation(hold('released', `old${i}`));
  t.ok(model.reservations.size <= 25, 'bounded');
});

t.test(
  'groups without items, removed messages, and own messages that were left out (C-5.2, C-7.1, C-7.2, C-10.1)',
  async (t) => {
    const model = begun();
    const first = model.lastChat;
    model.applyFrame(frame({ chat: [[first + 1, 1000, [[3, 0, 'a', 'hi']]]], missed: 3 }));
    model.applyFrame(frame({ chat: [[first + 9, 1000, []]], missed: 4 }));
    t.equal(model.lastChat, first + 8, 'the position counts what was left out');
    model.applyFrame(frame({ events: [event(5, 'chat.removed', { ids: [first + 4, first + 20] })] }));
    t.same(
      model.chat.filter(({ id }) => id > first),
      [],
    );
    t.same(
      model
        .applyFrame(
          frame({
            chat: [
              [
                first + 20,
                1000,
                [
                  [0, 0, 'a', 'late'],
                  [1, 0, 'a', 'next'],
                ],
              ],
            ],
          }),
        )
        .chat.map(({ text }) => text),
      ['next'],
      'it stays away',
    );
    const own = { id: first + 30, at: 1, name: 'me', text: 'only here', mark: 0 };
    t.equal(model.addOwnChat(own), true);
    t.equal(model.addOwnChat(own), false);
    t.equal(model.lastChat, first + 21, 'what others said before it may still be on its way');
  },
);

t.test('a snapshot replaces everything; a frame of an unknown epoch is a gap (E-2.4, E-4.3, W-3.3)', async (t) => {
  const model = begun();
  model.applyFrame(
    frame({ events: [event(5, 'announcement', { text: 'x' })], chat: [[10, 1000, [[0, 0, 'a', 'hi']]]] }),
  );
  t.equal(model.applyFrame(frame({ snapshot: snapshot(9) })).snapshot, true);
  t.same([model.offset, model.chat.length], [9, 0], 'the chat on screen too: something may have been taken off');
  model.applyFrame(frame({ snapshot: snapshot(9), chat: [[10, 1000, [[0, 0, 'a', 'hi']]]] }));
  t.equal(model.chat.length, 1, 'recent chat comes with it');
  t.equal(model.applyFrame(frame({ epoch: 'e2' })).gap, true);
  t.match(model.applyFrame(frame({ epoch: 'e2', snapshot: snapshot(1, { epoch: 'e2' }) })), {
    snapshot: true,
    gap: false,
  });
  t.same([model.epoch, model.offset, model.lastChat], ['e2', 1, 0], 'chat numbers begin anew too');
});
