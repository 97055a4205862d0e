import t from 'tap';
import { Model } from '../../src/client/model.ts';
import type { ChatGroup, Frame, ReservationView, SaleView, ShowEvent, Snapshot } from '../../src/protocol/messages.ts';
import { holdView, saleView, showView } from '../support/show-view.ts';
import { announcements, frame, WELCOME } from './scripted-server.ts';

const units = (sku: string, left: number) => ({ sku, product: 'p', price: 100, left });
const sale = (rev: number, left: number, state: SaleView['state'] = 'scheduled'): SaleView =>
  saleView({ id: 'flash', title: 'Flash', state, rev, skus: [units('A', left), units('B', 7)] });
const OPEN = { id: 'flash', state: 'open', opensAt: 1000 } as const;
const saleState = (rev: number, closesAt: number, left: number) => ({ ...OPEN, rev, closesAt, left: { A: left } });
const snapshot = (offset: number, epoch = 'e1'): Snapshot => ({
  epoch,
  offset,
  products: [{ id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'A' }, { sku: 'B' }] }],
  sales: [sale(5, 10)],
  state: { viewers: 3, hearts: 9 },
  show: showView(),
});
const event = (offset: number, type: ShowEvent['type'], data: ShowEvent['data']) => ({ offset, at: 1, type, data });
const chat = (firstId: number, ...items: ChatGroup[2]): Partial<Frame> => ({ chat: [[firstId, 1000, items]] });
const hold = (state: ReservationView['state'], id = 'r1') => holdView(id, { state });
const newModel = (): Model => {
  const model = new Model();
  model.applyWelcome({ ...WELCOME, offset: 4, snapshot: snapshot(4) });
  return model;
};

t.test('a welcome with a snapshot replaces everything (W-2.2)', async (t) => {
  const model = newModel();
  t.equal(model.show?.title, 'S');
  t.equal(model.sales.get('flash')?.rev, 5);
  t.same([model.viewers, model.epoch, model.offset], [3, 'e1', 4]);
});

t.test('events apply in order and once; none is applied after a gap (I7, E-2.1, E-2.2, E-2.3)', async (t) => {
  const model = newModel();
  const steps: ReadonlyArray<[frame: Partial<Frame>, applied: number[], gap: boolean, name: string]> = [
    [announcements(4, 5), [5], false, 'a known event is skipped'],
    [announcements(7), [], true, 'a gap is noticed'],
    [announcements(6, 7), [6, 7], false, 'the missing events close it'],
    [{ ...announcements(8), epoch: 'e2' }, [], true, 'events of another epoch are a gap'],
  ];
  for (const [more, applied, gap, name] of steps) {
    const changes = model.applyFrame(frame(more));
    t.same([changes.events.map(({ offset }) => offset), changes.gap], [applied, gap], name);
    t.equal(model.announcement?.text, `n${model.offset}`);
  }
  t.equal(model.offset, 7);
});

t.test('the newest revision of a sale wins in any order (S-2.2, S-2.3)', async (t) => {
  const model = newModel();
  model.applyFrame(frame({ state: { sales: [saleState(9, 3000, 2)] } }));
  t.match(model.sales.get('flash'), { rev: 9, state: 'open', closesAt: 3000, title: 'Flash' });
  const left = () => model.sales.get('flash')?.skus.map((sku) => sku.left);
  t.same(left(), [2, 7], 'unchanged units stay');
  const opened = event(5, 'sale.opened', { sale: sale(7, 10, 'open') });
  model.applyFrame(frame({ state: { sales: [saleState(8, 2000, 9)] }, events: [opened] }));
  t.match(model.sales.get('flash'), { rev: 9, closesAt: 3000 });
  t.same(left(), [2, 7]);
  model.applyFrame(frame({ events: [event(6, 'sale.ended', { sale: sale(12, 1, 'ended') })] }));
  t.match(model.sales.get('flash'), { rev: 12, state: 'ended' });
});

t.test('an announcement comes with a snapshot or an event, and an empty one ends it (W-2.8, E-7.2)', async (t) => {
  const model = newModel();
  t.equal(model.announcement, null);
  model.applyFrame(frame({ events: [event(5, 'announcement', { text: 'Now', until: 90 })] }));
  t.same(model.announcement, { text: 'Now', until: 90, at: 1 });
  model.applyFrame(frame({ events: [event(6, 'announcement', { text: '' })] }));
  t.equal(model.announcement, null);
  const announcement = { text: 'Later', at: 7, until: 99 };
  model.applyFrame(frame({ snapshot: { ...snapshot(9), announcement } }));
  t.same(model.announcement, announcement);
  model.applyFrame(frame({ snapshot: snapshot(10) }));
  t.equal(model.announcement, null);
});

t.test('events change products, pins and the show', async (t) => {
  const model = newModel();
  const events = [
    event(5, 'product.saved', { product: { id: 'q', brand: 'b', title: 'Q', skus: [] } }),
    event(6, 'product.removed', { product: 'p' }),
    event(7, 'product.pinned', { product: 'q' }),
  ];
  model.applyFrame(frame({ events }));
  t.same([[...model.products.keys()], model.show?.pinned], [['q'], 'q']);
  model.applyFrame(frame({ events: [event(8, 'show.ended', { show: { ...snapshot(0).show, state: 'ended' } })] }));
  t.equal(model.show?.state, 'ended');
});

t.test('chat that a resume repeats is applied once (C-1, C-2.1, C-2.2, C-4.3)', async (t) => {
  const model = newModel();
  const first = model.applyFrame(frame(chat(10, [0, 0, 'a', 'hi'], [1, 5, 'b', 'yo', 3])));
  t.same(first.chat, [
    { id: 10, at: 1000, name: 'a', text: 'hi', mark: 0 },
    { id: 11, at: 1500, name: 'b', text: 'yo', mark: 3 },
  ]);
  const again = model.applyFrame(frame(chat(10, [1, 5, 'b', 'yo', 3], [2, 9, 'c', 'new'])));
  t.match(again.chat, [{ id: 12 }]);
  t.same([again.chat.length, model.lastChat], [1, 12]);
  for (let i = 0; i < 5_000; i += 1) model.applyFrame(frame(chat(100 + i, [0, 0, 'a', 'x'])));
  t.ok(model.chat.length <= 400, 'the chat is bounded');
});

t.test('an ended hold stays ended (I3)', async (t) => {
  const model = newModel();
  model.applyReservation(hold('expired'));
  model.applyReservation(hold('held'));
  t.equal(model.reservations.get('r1')?.state, 'expired');
  model.applyReservation(hold('held', 'r2'));
  const { snapshot: _, ...resumed } = WELCOME;
  model.applyWelcome({ ...resumed, you: { ...WELCOME.you, reservations: [hold('confirmed', 'r3')] }, resumed: true });
  t.same([...model.reservations.keys()].sort(), ['r1', 'r3'], 'a welcome replaces live holds; ended ones stay');
  for (let i = 0; i < 100; i += 1) model.applyReservation(hold('released', `old${i}`));
  t.ok(model.reservations.size <= 25, 'the reservations are bounded');
});

t.test('holdings replace live reservations and waitlist entries; the others were lost (W-7.1, W-7.2)', async (t) => {
  const model = newModel();
  for (const id of ['kept', 'lost', 'undone']) model.applyReservation(hold('held', id));
  model.applyReservation(hold('confirmed', 'undone'));
  model.applyReservation(hold('expired'));
  model.waits.set('s/a', { sale: 's', sku: 'a', qty: 1, place: 1, joinedAt: 0 });
  const { lost, changed } = model.applyHoldings({
    reservations: [hold('held', 'kept'), hold('held', 'undone')],
    waits: [],
  });
  t.same([lost, changed], [[hold('held', 'lost')], [hold('held', 'undone')]]);
  t.same([...model.reservations.keys()], ['r1', 'kept', 'undone']);
  t.equal(model.waits.size, 0);
});

t.test('empty groups, removed messages and own left-out messages (C-5.2, C-7.1, C-7.2, C-10.1)', async (t) => {
  const model = newModel();
  const first = model.lastChat;
  model.applyFrame(frame({ ...chat(first + 1, [3, 0, 'a', 'hi']), missed: 3 }));
  model.applyFrame(frame({ ...chat(first + 9), missed: 4 }));
  t.equal(model.lastChat, first + 8, 'the position includes left-out messages');
  model.applyFrame(frame({ events: [event(5, 'chat.removed', { ids: [first + 4, first + 20] })] }));
  t.same(model.chat, []);
  const late = model.applyFrame(frame(chat(first + 20, [0, 0, 'a', 'late'], [1, 0, 'a', 'next'])));
  const texts = late.chat.map(({ text }) => text);
  t.same(texts, ['next'], 'a removed message that arrives later is ignored');
  const own = { id: first + 30, at: 1, name: 'me', text: 'only for me', mark: 0 };
  t.same([model.addOwnChat(own), model.addOwnChat(own)], [true, false]);
  t.equal(model.lastChat, first + 21, 'earlier messages of others may still arrive');
});

t.test('a snapshot replaces everything; a frame of an unknown epoch is a gap (E-2.4, E-4.3, W-3.3)', async (t) => {
  const model = newModel();
  const hi = chat(10, [0, 0, 'a', 'hi']);
  model.applyFrame(frame({ ...announcements(5), ...hi }));
  t.equal(model.applyFrame(frame({ snapshot: snapshot(9) })).snapshot, true);
  t.same([model.offset, model.chat.length], [9, 0], 'chat too: messages may have been removed');
  model.applyFrame(frame({ snapshot: snapshot(9), ...hi }));
  t.equal(model.chat.length, 1, 'recent chat comes with the snapshot');
  t.equal(model.applyFrame(frame({ epoch: 'e2' })).gap, true);
  const next = frame({ epoch: 'e2', snapshot: snapshot(1, 'e2') });
  t.match(model.applyFrame(next), { snapshot: true, gap: false });
  t.same([model.epoch, model.offset, model.lastChat], ['e2', 1, 0], 'chat ids start again');
});
