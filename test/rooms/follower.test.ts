import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { Commit, RelayListener, RoomSnapshot } from '../../src/domain/show-log.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type Result, type SaleStateView, type SaleView, type ShowEvent } from '../../src/protocol/index.ts';
import { ShowFollower } from '../../src/rooms/follower.ts';
import { ShowReplica } from '../../src/rooms/replica.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { saleView, showView } from '../support/show-view.ts';

const OPEN = { id: 'f', state: 'open', opensAt: 1, closesAt: 9 } as const;
const EMPTY_COMMIT = { epoch: 'e1', at: 1, sales: [], reservations: [], holds: null, nextDueAt: null };
const saleState = (rev: number, left: number): SaleStateView => ({ ...OPEN, rev, left: { a: left } });
const sale = (rev: number, left: number): SaleView =>
  saleView({ ...OPEN, rev, skus: [{ sku: 'a', product: 'p', price: 1, left }] });
const event = (offset: number, more: Partial<ShowEvent> = {}): ShowEvent => {
  return { offset, at: 1, type: 'announcement', data: { text: `${offset}` }, ...more };
};
const commit = (rev: number, offsets: readonly number[], more: Partial<Commit> = {}): Commit => {
  return { ...EMPTY_COMMIT, rev, events: offsets.map((offset) => event(offset)), ...more };
};
const loaded = (rev: number, offset: number, epoch = 'e1'): RoomSnapshot => {
  const snapshot = { epoch, offset, show: showView(), products: [], sales: [sale(rev, 5)], state: {} };
  return { rev, nextDueAt: null, chat: [], lastChat: 0, mutes: [], snapshot };
};
const offsetsOf = (events: readonly ShowEvent[]): string => events.map(({ offset }) => offset).join();

/** A follower whose loads reply when the test says so. `log` holds the events of the log. */
function setUp() {
  const clock = new ManualClock();
  const seen: string[] = [];
  const loads: Array<(result: Result<RoomSnapshot>) => void> = [];
  const log: ShowEvent[] = [];
  let listener: RelayListener | undefined;
  const follower = new ShowFollower({
    showId: 'show',
    clock,
    log: {
      isOpen: async () => ok(null),
      subscribe: async (_show, given) => {
        listener = given;
        return ok({ unsubscribe: async () => {} });
      },
      load: () => new Promise((reply) => loads.push(reply)),
      eventsAfter: async (_show, epoch, after) => {
        const isComplete = epoch === 'e1' && log.some(({ offset }) => offset === after + 1);
        return ok(isComplete ? log.filter(({ offset }) => offset > after) : null);
      },
    },
    handlers: {
      onCommit: ({ events }) => seen.push(`commit ${offsetsOf(events)}`),
      onChat: ({ firstId }) => seen.push(`chat ${firstId}`),
      onBusyUsers: ({ node }) => seen.push(`busy on ${node}`),
      onCounts: ({ viewers }) => seen.push(`counts ${viewers}`),
      onCaughtUp: (events) => seen.push(events === null ? 'snapshot' : `caught up ${offsetsOf(events)}`),
      onGone: () => seen.push('gone'),
      onUnexpected: (error) => {
        throw error;
      },
    },
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i += 1) await turn();
  };
  /** Replies to the running load, and waits until the follower has processed it. */
  const load = async (result: Result<RoomSnapshot>): Promise<void> => {
    await settle();
    loads.shift()?.(result);
    await settle();
  };
  const send = (...commits: Commit[]): void => {
    for (const each of commits) listener?.onMessage({ kind: 'commit', commit: each });
  };
  const resync = (): void => listener?.onResync();
  return { follower, replica: follower.replica, loads, log, seen, clock, load, send, resync };
}

/** A follower in sync at revision 10, offset 3. */
async function opened() {
  const world = setUp();
  const done = world.follower.open();
  await world.load(ok(loaded(10, 3)));
  await done;
  return world;
}

t.test('messages that arrive during the load are applied on top of it, once', async (t) => {
  const { follower, replica, seen, load, send } = setUp();
  const done = follower.open();
  await turn();
  send(commit(9, [3]), commit(11, [4]), commit(12, []));
  await load(ok(loaded(10, 3)));
  t.match(await done, { ok: true });
  t.same(seen, ['commit 4', 'commit ']);
  t.same([replica.offset, replica.rev, follower.isSynced], [4, 12, true]);
});

t.test('L-4.1: mutes of a commit are known and removed; ended ones do not accumulate', async (t) => {
  const replica = new ShowReplica();
  const mute = (rev: number, at: number, ...mutes: Array<[string, number]>): void =>
    void t.equal(replica.apply(commit(rev, [], { at, mutes })), 'applied');
  replica.adopt({ ...loaded(1, 1), mutes: [['old', 500]] });
  mute(2, 1, ['ann', 2_000]);
  t.same(Object.fromEntries(replica.mutes), { old: 500, ann: 2_000 });
  mute(3, 600, ['ann', 0]);
  t.same([...replica.mutes.keys()], ['old']);
  replica.adopt({ ...loaded(3, 1), mutes: [['bob', 900]] });
  t.same(
    replica.changedMutes,
    [
      ['old', 0],
      ['bob', 900],
    ],
    'what commits that were lost had changed (L-4.3)',
  );
  mute(4, 600, ...Array.from({ length: 3 * LIMITS.mutesPerShowMax }, (_, i): [string, number] => [`u${i}`, 1]));
  t.ok(replica.mutes.size <= LIMITS.mutesPerShowMax, String(replica.mutes.size));
});

t.test('E-5: missed events are read from the log before later ones are sent', async (t) => {
  const { follower, log, seen, load, send } = await opened();
  send(commit(11, [4]), commit(13, [6]), commit(14, [7]));
  t.same(seen, ['commit 4']);
  t.notOk(follower.isSynced, 'local refusals stop');
  log.push(event(4), event(5), event(6));
  await load(ok(loaded(13, 6)));
  t.same(seen, ['commit 4', 'caught up 5,6', 'commit 7']);
  t.ok(follower.isSynced);
});

t.test('a lost commit without events is found by the next commit', async (t) => {
  const { follower, replica, seen, load, send } = await opened();
  send(commit(12, []));
  t.notOk(follower.isSynced);
  await load(ok(loaded(12, 3)));
  t.same(seen, ['caught up ']);
  t.same([replica.rev, follower.isSynced], [12, true]);
});

t.test('a lost commit without a next one is found by the position in a counts report', async (t) => {
  const { follower, loads, load, send } = await opened();
  const report = (rev: number, epoch = 'e1'): void => follower.checkPosition({ epoch, rev });
  report(10);
  report(11);
  t.ok(follower.isSynced, 'it may be on its way');
  send(commit(11, []));
  report(12);
  report(12);
  t.notOk(follower.isSynced, 'what was published before the last report must have arrived');
  await load(ok(loaded(12, 3)));
  report(12);
  t.same([follower.isSynced, loads.length], [true, 0]);
  report(1, 'e2');
  t.ok(follower.isSynced);
  report(1, 'e2');
  t.notOk(follower.isSynced, 'another epoch');
});

t.test('under a new epoch, or without the events in the log, viewers get a snapshot (E-4.2)', async (t) => {
  const { replica, seen, load, send } = await opened();
  send(commit(20, [], { epoch: 'e2' }));
  await load(ok(loaded(20, 0, 'e2')));
  t.same(seen, ['snapshot']);
  t.equal(replica.epoch, 'e2');
  const other = await opened();
  other.resync();
  await other.load(ok(loaded(500, 400)));
  t.same(other.seen, ['snapshot']);
});

t.test('after a lost connection it loads until Redis replies and no connection was lost meanwhile', async (t) => {
  const { follower, loads, seen, clock, load, resync } = await opened();
  resync();
  await load(fail('redis_unavailable'));
  await clock.pass(150);
  t.equal(loads.length, 1, 'loads again after a pause');
  resync();
  loads.shift()?.(ok(loaded(11, 3)));
  await clock.pass(300);
  t.same(seen, [], 'the connection was lost during the load');
  await load(ok(loaded(12, 3)));
  t.same(seen, ['caught up ']);
  t.ok(follower.isSynced);
});

t.test('a show that no longer exists is reported', async (t) => {
  const { follower, seen, load, resync } = await opened();
  resync();
  await load(fail('show_not_found'));
  t.same(seen, ['gone']);
  await follower.stop();
});

t.test('states of a sale are merged by revision (S-2.2, S-2.3)', async (t) => {
  const { replica, send } = await opened();
  const left = (): number | undefined => replica.sales.get('f')?.skus[0]?.left;
  send(commit(11, [], { sales: [saleState(11, 4)] }));
  t.equal(left(), 4);
  send(commit(9, [], { sales: [saleState(9, 99)] }));
  t.equal(left(), 4, 'an older one changes nothing');
  const stocked = event(4, { type: 'sale.stocked', data: { sale: sale(12, 2) } });
  send(commit(12, [], { events: [stocked], sales: [saleState(12, 2)] }));
  t.equal(left(), 2);
  t.same(replica.snapshot().sales[0]?.rev, 12);
});
