/** Positions in a waitlist, as the members of a room get them. */
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type ReservationView, type WaitView } from '../../src/protocol/index.ts';
import type { MemberConnection } from '../../src/rooms/member.ts';
import { Members } from '../../src/rooms/members.ts';
import { newEncodeCounts } from '../support/encode-counts.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { holdView } from '../support/show-view.ts';

const SALE = { sale: 's', sku: 'a' };

/** Members who join a waitlist; lookups reply with `places`, when the test lets them. */
function setUp() {
  const places = new Map<string, number>();
  const holds = new Map<string, ReservationView>();
  const lookups: string[][] = [];
  const redis = { reports: 0, reply: Promise.resolve() };
  const clock = new ManualClock();
  const waitsOf = (user: string): WaitView[] => {
    const place = places.get(user);
    return place === undefined ? [] : [{ ...SALE, qty: 1, place, joinedAt: 0 }];
  };
  const members = new Members({
    showId: 'show',
    clock,
    encodes: newEncodeCounts(),
    now: () => 0,
    onWaiting: () => {
      redis.reports += 1;
    },
    onUnexpected: (error) => {
      throw error;
    },
    store: {
      async holdingsOf(_show, users) {
        lookups.push([...users]);
        const holdings = users.map((user) => {
          const hold = holds.get(user);
          return { reservations: hold === undefined ? [] : [hold], waits: waitsOf(user), sales: ['s'] };
        });
        await redis.reply;
        return ok(holdings);
      },
      getReservation: async () => fail('reservation_not_found'),
    },
  });
  /** `sent`: the messages of this connection, as types and positions. */
  const connect = async (user: string) => {
    const sent: string[] = [];
    const send = (bytes: Uint8Array): void => {
      const { t: type, waits = [] } = JSON.parse(Buffer.from(bytes).toString()) as { t: string; waits?: WaitView[] };
      sent.push([type, ...waits.map(({ place }) => place)].join(' '));
    };
    const connection: MemberConnection = { variant: 'json', send };
    const member = members.join(user, connection);
    await members.lookUpHoldings(member);
    sent.length = 0; // The welcome has what is sent before it.
    const request = (op: 'join' | 'leave', place: number): void =>
      members.endWaitlist(member, { ...SALE, op, key: 'k' }, { place, waiting: place, replayed: false });
    return { member, connection, sent, request };
  };
  const report = async (ended: number): Promise<string[]> => {
    lookups.length = 0;
    members.positions.report(ended);
    await turn();
    return lookups.flat();
  };
  return { members, places, holds, redis, clock, connect, report };
}

t.test('positions are sent when they change, to all connections, and only to members who wait (W-9.1)', async (t) => {
  const { members, places, redis, connect, report } = setUp();
  const [ann, phone, bob, cay] = [
    await connect('ann'),
    await connect('ann'),
    await connect('bob'),
    await connect('cay'),
  ];
  t.equal(members.positions.areNeeded, false);
  places.set('bob', 1);
  bob.request('join', 1);
  places.set('ann', 2);
  ann.request('join', 2);
  t.same([members.positions.areNeeded, redis.reports > 0], [true, true], 'reports are needed');
  t.same(await report(0), ['bob', 'ann']);
  t.same([bob.sent, ann.sent, phone.sent], [[], ['waits 2'], ['waits 2']], 'another device joined (W-9.3)');
  t.same(await report(0), [], 'no entry has ended');

  places.delete('bob');
  places.set('ann', 1);
  bob.request('leave', 0);
  t.same(await report(1), ['bob', 'ann']);
  t.same([bob.sent, ann.sent, phone.sent], [[], ['waits 2', 'waits 1'], ['waits 2', 'waits 1']]);
  t.same(await report(2), ['ann'], 'bob waits no more');
  t.same([ann.sent.length, cay.sent.length], [2, 0], 'a position that stays is not sent');

  members.leave(ann.member, ann.connection);
  members.leave(phone.member, phone.connection);
  t.same([await report(3), members.positions.areNeeded], [[], false]);
  places.set('ann', 7);
  t.match((await connect('ann')).member.waits, [{ place: 7 }], 'a welcome has the position of now');
  places.set('ann', 6);
  t.same(await report(4), ['ann']);
});

t.test('a recorded result of a join has the position of then: the one of now follows (W-9.2)', async (t) => {
  const { places, connect, report } = setUp();
  const ann = await connect('ann');
  places.set('ann', 3);
  ann.request('join', 9);
  await report(0);
  t.same(ann.sent, ['waits 3']);
});

t.test('a position that was read before the member left, or got an offer, is not sent (W-9.1)', async (t) => {
  const { members, places, holds, redis, connect, report } = setUp();
  const [ann, bob] = [await connect('ann'), await connect('bob')];
  for (const { member, request } of [ann, bob]) {
    places.set(member.user, 2);
    request('join', 2);
  }
  await report(0);
  for (const { member } of [ann, bob]) places.set(member.user, 1);
  let reply = (): void => {};
  redis.reply = new Promise((resolve) => {
    reply = resolve;
  });
  t.same(await report(1), ['ann'], 'the first call is sent with the first member');
  reply();
  redis.reply = new Promise((resolve) => {
    reply = resolve;
  });
  await turn();
  t.same(ann.sent, ['waits 1']);
  places.clear();
  const view = { ...holdView('w'), ...{ user: 'bob', sale: 's', lines: [{ sku: 'a', qty: 1 }], offer: true as const } };
  holds.set('bob', view);
  members.applyChanges([{ user: 'bob', id: 'w', isNewHold: false, view: () => view }]);
  ann.request('leave', 0);
  t.same(await report(2), [], 'the lookup of bob is under way');
  redis.reply = Promise.resolve();
  reply();
  for (let i = 0; i < 3; i += 1) await turn();
  t.same([ann.sent, bob.sent], [['waits 1'], ['you', 'waits']]);
  t.same([ann.member.waits, bob.member.waits, members.positions.areNeeded], [null, null, false]);
});

t.test('I9: a report looks up a bounded number of entries, and the next ones the others (W-9.2)', async (t) => {
  const { places, clock, connect, report } = setUp();
  const { positionsPerReportMax: max } = LIMITS;
  const all = await Promise.all(Array.from({ length: max + 5 }, (_, i) => connect(`u${i}`)));
  for (const [i, { member, request }] of all.entries()) {
    places.set(member.user, i + 1);
    request('join', i + 1);
  }
  const lookedUp = async (ended: number): Promise<void> => {
    await report(ended);
    await clock.pass(3 * LIMITS.lookupStormPauseMs);
  };
  await lookedUp(0);
  await lookedUp(0);
  for (const [i, { member }] of all.entries()) places.set(member.user, i);
  const sent = (): number => all.filter((each) => each.sent.length > 0).length;
  await lookedUp(1);
  t.equal(sent(), max);
  await lookedUp(1);
  t.equal(sent(), max + 5);
});

t.test('a hold whose announcement is lost while positions are looked up is sent (I8)', async (t) => {
  const { members, places, holds, redis, connect, report } = setUp();
  const ann = await connect('ann');
  places.set('ann', 2);
  ann.request('join', 2);
  await report(0);
  ann.sent.length = 0;
  let reply = (): void => {};
  redis.reply = new Promise((resolve) => (reply = resolve));
  await report(1);
  // The connection to Redis is lost, and with it the announcement of a hold.
  holds.set('ann', holdView('r-1', { user: 'ann' }));
  members.refetchAll(false);
  reply();
  await turn();
  await turn();
  t.ok(ann.sent.includes('you'), ann.sent.join(', '));
});
