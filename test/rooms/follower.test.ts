import t from 'tap';
import type { ChatBatch } from '../../src/domain/chat.ts';
import type { Commit, RelayListener, RoomSnapshot } from '../../src/domain/show-log.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type Result } from '../../src/protocol/codes.ts';
import type { SaleView, ShowEvent } from '../../src/protocol/messages.ts';
import { ShowFollower } from '../../src/rooms/follower.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { showView } from '../support/show-view.ts';

const show = showView();
const sale = (rev: number, left: number): SaleView => ({
  id: 'f',
  title: 'F',
  state: 'open',
  opensAt: 1,
  closesAt: 9,
  holdMs: 1,
  perBuyer: 1,
  currency: 'EUR',
  rev,
  skus: [{ sku: 'a', product: 'p', price: 1, left }],
});
const event = (
  offset: number,
  data: Record<string, unknown> = { text: `${offset}` },
  type: ShowEvent['type'] = 'announcement',
): ShowEvent => ({
  offset,
  at: 1,
  type,
  data,
});
const commit = (rev: number, events: ShowEvent[], more: Partial<Commit> = {}): Commit => ({
  rev,
  epoch: 'e1',
  at: 1,
  events,
  sales: [],
  reservations: [],
  holds: null,
  nextDueAt: null,
  ...more,
});
const loaded = (rev: number, offset: number, epoch = 'e1'): RoomSnapshot => ({
  rev,
  nextDueAt: null,
  chat: [],
  lastChat: 0,
  mutes: [],
  snapshot: { epoch, offset, show, products: [], sales: [sale(rev, 5)], state: {} },
});

/** A log whose answers wait until the test gives them. */
function setUp(): {
  follower: ShowFollower;
  listener: () => RelayListener;
  loads: Array<(r: Result<RoomSnapshot>) => void>;
  log: ShowEvent[];
  seen: string[];
  clock: ManualClock;
} {
  const clock = new ManualClock();
  const seen: string[] = [];
  const loads: Array<(r: Result<RoomSnapshot>) => void> = [];
  const log: ShowEvent[] = [];
  let listener: RelayListener | null = null;
  const follower = new ShowFollower({
    showId: 'show',
    clock,
    log: {
      subscribe: async (_show, given) => {
        listener = given;
        return ok({ unsubscribe: async () => {} });
      },
      load: () => new Promise((answer) => loads.push(answer)),
      eventsAfter: async (_show, epoch, after) =>
        ok(
          epoch === 'e1' && log.some(({ offset }) => offset === after + 1)
            ? log.filter(({ offset }) => offset > after)
            : null,
        ),
    },
    handlers: {
      onCommit: ({ events }) => seen.push(`commit ${events.map(({ offset }) => offset).join()}`),
      onChat: ({ firstId }: ChatBatch) => seen.push(`chat ${firstId}`),
      onCounts: ({ viewers }) => seen.push(`counts ${viewers}`),
      onCaughtUp: (events) =>
        seen.push(events === null ? 'snapshot' : `caught up ${events.map(({ offset }) => offset).join()}`),
      onGone: () => seen.push('gone'),
    },
  });
  return {
    follower,
    loads,
    log,
    seen,
    clock,
    listener: () =>
      listener ??
      (() => {
        throw new Error('not subscribed');
      })(),
  };
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i += 1) await new Promise<void>((resolve) => setImmediate(resolve));
};

async function opened(): Promise<ReturnType<typeof setUp>> {
  const world = setUp();
  const open = world.follower.open();
  await settle();
  world.loads.shift()?.(ok(loaded(10, 3)));
  await open;
  return world;
}

const send = (world: ReturnType<typeof setUp>, ...commits: Commit[]): void => {
  for (const each of commits) world.listener().onMessage({ kind: 'commit', commit: each });
};

t.test(
  'listen first, load after: what came meanwhile is applied on top, what the load has is not applied twice',
  async (t) => {
    const world = setUp();
    const open = world.follower.open();
    await settle();
    send(world, commit(9, [event(3)]), commit(11, [event(4)]), commit(12, []));
    world.loads[0]?.(ok(loaded(10, 3)));
    t.match(await open, { ok: true });
    t.same(world.seen, ['commit 4', 'commit ']);
    t.same([world.follower.replica.offset, world.follower.replica.rev, world.follower.isSynced], [4, 12, true]);
  },
);

t.test('L-4: mutes of a commit are known, lifted, and those that are over do not pile up', async (t) => {
  const { replica: view } = new ShowFollower({
    showId: 's',
    clock: new ManualClock(),
    log: {} as never,
    handlers: {} as never,
  });
  view.adopt({ ...loaded(1, 1), mutes: [['old', 500]] });
  t.equal(view.apply(commit(2, [], { mutes: [['ann', 2_000]] })), 'applied');
  t.same(
    [...view.mutes],
    [
      ['old', 500],
      ['ann', 2_000],
    ],
  );
  view.apply(commit(3, [], { at: 600, mutes: [['ann', 0]] }));
  t.same([...view.mutes.keys()], ['old']);
  const many = Array.from({ length: 3 * LIMITS.mutesPerShowMax }, (_, i): [string, number] => [`u${i}`, 1]);
  view.apply(commit(4, [], { at: 600, mutes: many }));
  t.ok(view.mutes.size <= LIMITS.mutesPerShowMax, String(view.mutes.size));
});

t.test('E-5: a gap in the offsets is filled from the log before anything later is told', async (t) => {
  const world = await opened();
  send(world, commit(11, [event(4)]), commit(13, [event(6)]), commit(14, [event(7)]));
  t.same(world.seen, ['commit 4']);
  t.notOk(world.follower.isSynced, 'the gate must not trust this view now');
  await settle();
  world.log.push(event(4), event(5), event(6));
  world.loads.at(-1)?.(ok(loaded(13, 6)));
  await settle();
  t.same(world.seen, ['commit 4', 'caught up 5,6', 'commit 7']);
  t.ok(world.follower.isSynced);
});

t.test('a lost commit that carried only state is noticed by the next one, whatever that carries', async (t) => {
  const world = await opened();
  send(world, commit(12, []));
  t.notOk(world.follower.isSynced);
  await settle();
  world.loads.at(-1)?.(ok(loaded(12, 3)));
  await settle();
  t.same(world.seen, ['caught up ']);
  t.same([world.follower.replica.rev, world.follower.isSynced], [12, true]);
});

t.test('and by the answer to a report, when nothing comes after it', async (t) => {
  const world = await opened();
  const stands = (rev: number, epoch = 'e1'): void => world.follower.checkPosition({ epoch, rev });
  stands(10);
  stands(11);
  t.ok(world.follower.isSynced, 'it may be on its way');
  send(world, commit(11, []));
  stands(12);
  stands(12);
  t.notOk(world.follower.isSynced, 'what was published a report ago must be here by now');
  await settle();
  t.equal(world.loads.length, 1);
  world.loads.at(-1)?.(ok(loaded(12, 3)));
  await settle();
  stands(12);
  t.same([world.follower.isSynced, world.loads.length], [true, 1], 'and that is all');

  stands(1, 'e2');
  t.ok(world.follower.isSynced);
  stands(1, 'e2');
  t.notOk(world.follower.isSynced, 'another epoch');
});

t.test('a new epoch, or a log that does not reach back: a snapshot for everybody (E-4.2)', async (t) => {
  const world = await opened();
  send(world, commit(20, [], { epoch: 'e2' }));
  await settle();
  world.loads.at(-1)?.(ok(loaded(20, 0, 'e2')));
  await settle();
  t.same(world.seen, ['snapshot']);
  t.equal(world.follower.replica.epoch, 'e2');
  const other = await opened();
  other.listener().onResync();
  await settle();
  other.loads.at(-1)?.(ok(loaded(500, 400)));
  await settle();
  t.same(other.seen, ['snapshot']);
});

t.test('a lost line: loads again until Redis answers, however often it is lost meanwhile', async (t) => {
  const world = await opened();
  world.listener().onResync();
  await settle();
  world.loads.shift()?.(fail('redis_unavailable'));
  await world.clock.pass(150);
  t.equal(world.loads.length, 1, 'asked again after a pause');
  world.listener().onResync();
  world.loads.shift()?.(ok(loaded(11, 3)));
  await world.clock.pass(300);
  t.same(world.seen, [], 'the line was lost during the load: it counts for nothing');
  world.loads.shift()?.(ok(loaded(12, 3)));
  await settle();
  t.same(world.seen, ['caught up ']);
  t.ok(world.follower.isSynced);
});

t.test('a show that is gone', async (t) => {
  const world = await opened();
  world.listener().onResync();
  await settle();
  world.loads.at(-1)?.(fail('show_not_found'));
  await settle();
  t.same(world.seen, ['gone']);
  await world.follower.stop();
});

t.test('sale state merges by revision (S-2.2, S-2.3)', async (t) => {
  const world = await opened();
  const left = (): number | undefined => world.follower.replica.sales.get('f')?.skus[0]?.left;
  const patch = (rev: number, units: number): Commit =>
    commit(rev, [], { sales: [{ id: 'f', rev, state: 'open', opensAt: 1, closesAt: 9, left: { a: units } }] });
  send(world, patch(11, 4));
  t.equal(left(), 4);
  send(world, patch(9, 99));
  t.equal(left(), 4, 'an old one changes nothing');
  send(
    world,
    commit(12, [event(4, { sale: sale(12, 2) }, 'sale.stocked')], {
      sales: [{ id: 'f', rev: 12, state: 'open', opensAt: 1, closesAt: 9, left: { a: 2 } }],
    }),
  );
  t.equal(left(), 2);
  t.same(world.follower.replica.snapshot().sales[0]?.rev, 12);
});
