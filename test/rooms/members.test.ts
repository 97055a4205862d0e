import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { BuyerHoldings, Decision } from '../../src/domain/reservation.ts';
import type { ReservationChange } from '../../src/domain/show-log.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type ReservationView, type Result } from '../../src/protocol/index.ts';
import type { Member, MemberConnection } from '../../src/rooms/member.ts';
import { Members } from '../../src/rooms/members.ts';
import { newEncodeCounts } from '../support/encode-counts.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { holdView as hold } from '../support/show-view.ts';

const none = (): BuyerHoldings => ({ reservations: [], waits: [], sales: [] });
const released = (id: string): ReservationView => hold(id, { state: 'released', endedAt: 1 });
const holding = (id: string): BuyerHoldings => ({ ...none(), reservations: [hold(id)], sales: ['s'] });
const change = (view: ReservationView): ReservationChange => {
  const { user, id, state, offer } = view;
  return { user, id, isNewHold: state === 'held' && !offer, view: () => view };
};
const resultOf = (view?: ReservationView) => (view === undefined ? fail('reservation_not_found') : ok(view));
const decided = (reservation: ReservationView, replayed = false): Result<Decision> =>
  ok({ reservation, replayed, durability: 'always', epoch: 'e' });

type LookupCall = { readonly users: readonly string[]; readonly reply: (holdings: BuyerHoldings[]) => void };

/** `sent`: personal messages, as the id and state of each reservation. */
type Joined = { readonly member: Member; readonly connection: MemberConnection; readonly sent: string[] };

/** Members whose lookups reply when the test says so, or at once with `holdings`. */
function setUp(holdings?: (user: string) => BuyerHoldings) {
  const calls: LookupCall[] = [];
  const ended = new Map<string, ReservationView>();
  const redis = { isAway: false };
  const clock = new ManualClock();
  const members = new Members({
    showId: 'show',
    clock,
    encodes: newEncodeCounts(),
    now: () => 0,
    onWaiting: () => {},
    onUnexpected: (error) => {
      throw error;
    },
    store: {
      holdingsOf: (_show, users) =>
        new Promise((resolve) => {
          calls.push({ users, reply: (found) => resolve(ok(found)) });
          if (redis.isAway) resolve(fail('redis_unavailable'));
          else if (holdings !== undefined) resolve(ok(users.map(holdings)));
        }),
      getReservation: async (_show, id) => resultOf(ended.get(id)),
    },
  });
  const join = (user: string): Joined => {
    const sent: string[] = [];
    const send = (bytes: Uint8Array | string): void => {
      const { t, reservation, reservations } = JSON.parse(Buffer.from(bytes).toString());
      const shown = (reservation === undefined ? reservations : [reservation]) as ReservationView[];
      sent.push([...(t === 'you' ? [] : [t]), ...shown.map(({ id, state }) => `${id} ${state}`)].join(' '));
    };
    const connection: MemberConnection = { variant: 'json', send };
    return { member: members.join(user, connection), connection, sent };
  };
  /** A reserve from its start to its result. */
  const reserve = ({ member, connection }: Joined, result: Result<Decision>): void => {
    members.beginReserve(member);
    members.endReserve(member, connection, result);
  };
  /** A member whose first lookup found nothing. */
  const joinKnown = async (user: string): Promise<Joined> => {
    const joined = join(user);
    const done = members.lookUpHoldings(joined.member);
    calls.at(-1)?.reply([none()]);
    await done;
    return joined;
  };
  return { members, calls, ended, redis, clock, join, joinKnown, reserve };
}

t.test('I4: a repeated key reaches Redis: a buyer is new to a sale only if this is certain', async (t) => {
  const holdings = new Map<string, BuyerHoldings>([
    ['bob', { ...none(), sales: ['old'] }],
    ['cay', { ...none(), reservations: [hold('r1', { user: 'cay', state: 'confirmed' })], sales: ['s'] }],
  ]);
  const { members, ended, redis, clock, join } = setUp((user) => holdings.get(user) ?? none());
  const { member: ann, sent } = join('ann');
  t.notOk(ann.isNewTo('s'), 'not before Redis replied');
  await members.lookUpHoldings(ann);
  t.ok(ann.isNewTo('s'));
  ann.reservesInFlight = 1;
  t.notOk(ann.isNewTo('s'), 'not with a reserve in flight');
  ann.reservesInFlight = 0;
  members.applyChanges([change(hold('r1'))]);
  t.notOk(ann.isNewTo('s'), 'not after a commit announced a hold');
  members.applyChanges([change(hold('r1', { state: 'expired' }))]);
  t.notOk(ann.isNewTo('s'), 'not after the hold ended: its key has a recorded result');
  t.ok(ann.isNewTo('other'));
  t.same(sent, ['r1 held', 'r1 expired'], 'both were sent as personal messages');

  const { member: bob } = join('bob');
  await members.lookUpHoldings(bob);
  t.ok(bob.isNewTo('s'));
  t.notOk(bob.isNewTo('old'), 'held something there long ago');

  const { member: cay, sent: sentToCay } = join('cay');
  await members.lookUpHoldings(cay);
  t.ok(cay.hasOrder);
  t.equal(cay.listedReservations().length, 1);
  holdings.set('cay', { ...none(), sales: ['s'] });
  ended.set('r1', hold('r1', { user: 'cay', state: 'released' }));
  members.refetchAll(false);
  await turn();
  t.same(sentToCay, ['r1 released'], 'what ended while Redis was unreachable is sent');

  redis.isAway = true;
  const { member: dan } = join('dan');
  await members.lookUpHoldings(dan);
  t.notOk(dan.isKnown, 'a failed lookup does not delay the welcome');
  redis.isAway = false;
  await clock.pass(1_100);
  t.ok(dan.isKnown, 'it is retried');
  members.stop();
});

t.test('a member who reconnects within the linger time needs no lookup and missed nothing', async (t) => {
  const { members, calls, clock, join } = setUp(none);
  const { member: ann, connection } = join('ann');
  await members.lookUpHoldings(ann);
  members.leave(ann, connection);
  members.applyChanges([change(hold('r1', { state: 'confirmed' }))]);
  const back = join('ann');
  t.ok(back.member.isKnown);
  t.match(back.member.listedReservations(), [{ state: 'confirmed' }]);
  t.equal(calls.length, 1);

  members.leave(back.member, back.connection);
  clock.advance(LIMITS.memberLingerMs);
  const bob = join('bob');
  await members.lookUpHoldings(bob.member);
  members.leave(bob.member, bob.connection);
  t.notOk(join('ann').member.isKnown, 'after the linger time they are dropped by the next leave');
  members.refetchAll(false);
  t.notOk(join('bob').member.isKnown, 'after a lost connection to Redis no disconnected member counts as known');
});

t.test('I9: a storm of joins costs few lookups, which go on where one found many holders', async (t) => {
  const { members, calls, clock, join } = setUp();
  const joined = Array.from({ length: 4 * LIMITS.lookupStormMembers }, (_, i) => join(`u${i}`).member);
  const done = Promise.all(joined.map((member) => members.lookUpHoldings(member)));
  calls[0]?.reply([none()]);
  await turn();
  t.equal(calls[1]?.users.length, joined.length - 1, 'one call for all who wait');
  calls[1]?.reply([none(), none()]);
  await turn();
  t.same(calls[2]?.users, ['u3', 'u4', 'u5', 'u6'], 'this call looked at two of them, and the next one is smaller');
  for (let i = 2; i < 8; i += 1) {
    calls[i]?.reply((calls[i]?.users ?? []).map(none));
    await turn();
  }
  t.ok((calls[7]?.users.length ?? 0) >= LIMITS.lookupStormMembers);
  clock.advance(LIMITS.lookupStormPauseMs - 1);
  await turn();
  t.equal(calls.length, 8, 'after a large call the next one waits');
  clock.advance(1);
  await turn();
  calls[8]?.reply(calls[8].users.map(none));
  await done;
  t.ok(joined.every(({ isKnown }) => isKnown));
});

t.test('a member who waits in a waitlist is looked up at each join: positions move', async (t) => {
  const { members, join } = setUp(none);
  const { member } = join('ann');
  await members.lookUpHoldings(member);
  member.addWait({ sale: 's', sku: 'a', qty: 1, place: 3, joinedAt: 0 });
  t.equal(join('ann').member.isKnown, false);
});

t.test('a member whose holdings turn stale again and again does not delay lookups of others', async (t) => {
  const { members, calls, ended, join, joinKnown, reserve } = setUp();
  ended.set('old', released('old'));
  const stale = await joinKnown('dora');
  let replied = 1;
  const replyToNext = async (): Promise<void> => {
    reserve(stale, fail('redis_unavailable'));
    const call = calls[replied++];
    call?.reply(call.users.map(none));
    await turn();
  };
  for (let round = 0; round < 5; round += 1) {
    const { member } = join(`u${round}`);
    void members.lookUpHoldings(member);
    // One call may be in flight already; the next one includes this member.
    await replyToNext();
    await replyToNext();
    t.equal(member.isKnown, true, `round ${round}`);
  }
});

t.test('a lookup that turns stale in flight is repeated, and differences are sent', async (t) => {
  const { members, calls, join, reserve } = setUp();
  const [ann, bob] = [join('ann'), join('bob')];
  const known = Promise.all([members.lookUpHoldings(ann.member), members.lookUpHoldings(bob.member)]);
  // The first call was sent with Ann alone.
  calls[0]?.reply([none()]);
  await turn();
  t.same(calls[1]?.users, ['bob']);
  reserve(ann, fail('redis_unavailable'));
  reserve(bob, fail('internal'));
  calls[1]?.reply([holding('outdated')]);
  await turn();
  t.equal(bob.member.isKnown, false, 'a result older than the change is discarded');
  const users = calls[2]?.users ?? [];
  t.same([...users].sort(), ['ann', 'bob']);
  calls[2]?.reply(users.map((user) => (user === 'ann' ? holding('new') : none())));
  await known;
  await turn();
  t.same([ann.member.isKnown, bob.member.isKnown], [true, true]);
  t.same(ann.sent, ['new held']);
  t.same(bob.member.listedReservations(), []);
});

t.test('after a lost connection to Redis all holdings are refetched, also those of lookups in flight', async (t) => {
  const { members, calls, join } = setUp();
  const { member, sent } = join('ann');
  const known = members.lookUpHoldings(member);
  members.refetchAll(false);
  calls[0]?.reply([none()]);
  await turn();
  t.equal(member.isKnown, false);
  calls[1]?.reply([holding('a')]);
  await known;
  t.equal(member.isKnown, true);
  t.same(sent, [], 'the welcome that waits for it carries the hold');
});

t.test('after a new epoch a member gets what Redis still has, and what it lost is gone (W-7.1, W-7.2)', async (t) => {
  const left = new Map<string, BuyerHoldings>();
  const { members, join, redis, clock, reserve } = setUp((user) => left.get(user) ?? none());
  const [ann, bob, cay, dan] = [join('ann'), join('bob'), join('cay'), join('dan')];
  const all = [ann, bob, cay, dan];
  await Promise.all(all.map(({ member }) => members.lookUpHoldings(member)));
  reserve(ann, decided(hold('lost')));
  reserve(bob, decided(hold('kept')));
  members.applyChanges([change({ ...hold('order', { user: 'cay' }), state: 'confirmed' })]);
  left.set('bob', holding('kept'));
  left.set('cay', holding('order'));
  redis.isAway = true;
  members.refetchAll(true);
  await turn();
  redis.isAway = false;
  members.refetchAll(false);
  clock.advance(1_000);
  await turn();
  t.same(
    all.map(({ sent }) => sent),
    [['holdings'], ['holdings kept held'], ['order confirmed', 'holdings order held'], []],
    'members that never had any get nothing',
  );
  t.same(ann.member.listedReservations(), []);
  reserve(ann, decided(hold('lost')));
  t.equal(ann.member.reservation('lost')?.state, 'held', 'the same key may make the same hold again');
  t.ok(all.every(({ member }) => member.isKnown));
});

t.test('W-7.1: a change during the lookup of a new epoch is not replaced by what was read before it', async (t) => {
  const { members, calls, joinKnown, reserve } = setUp();
  const [ann, bob, cay] = [await joinKnown('ann'), await joinKnown('bob'), await joinKnown('cay')];
  reserve(ann, decided(hold('a')));
  const inRedis = new Map([['ann', holding('a')]]);
  const reply = async (): Promise<void> => {
    const call = calls.at(-1);
    call?.reply(call.users.map((user) => inRedis.get(user) ?? none()));
    await turn();
  };
  const wait = { sale: 's', sku: 'S', qty: 1, place: 1, joinedAt: 1 };
  members.refetchAll(true);
  await turn();
  t.same(calls.at(-1)?.users, ['ann'], 'the first call is sent with the first member');
  members.applyChanges([change(released('a'))]);
  await reply();
  t.same(calls.at(-1)?.users, ['bob', 'cay', 'ann']);
  reserve(bob, decided(hold('b')));
  cay.member.addWait(wait);
  inRedis.set('ann', none());
  await reply();
  t.same([ann.sent, bob.sent, cay.sent], [['a released', 'holdings'], [], []], 'nothing outdated is sent');
  t.same(calls.at(-1)?.users, ['bob', 'cay']);
  inRedis.set('bob', holding('b'));
  inRedis.set('cay', { ...none(), waits: [wait] });
  await reply();
  t.same([bob.sent, cay.sent], [['holdings b held'], ['holdings']]);
  t.same(cay.member.waits, [wait]);
});

t.test('a reserve result is sent to the other connections of its buyer, unless its end was faster', async (t) => {
  const { members, join, reserve } = setUp();
  const [phone, laptop] = [join('ann'), join('ann')];
  reserve(phone, decided(hold('a')));
  t.same([phone.sent, laptop.sent], [[], ['a held']]);
  members.applyChanges([change(released('b'))]);
  reserve(phone, decided(hold('b')));
  t.same([phone.sent, laptop.sent], [['b released'], ['a held', 'b released']]);
  t.equal(phone.member.reservation('b')?.state, 'released');
});

t.test('a hold announced during a reserve is sent once the result shows that it is another one', async (t) => {
  const { members, join } = setUp();
  const [phone, laptop] = [join('ann'), join('ann')];
  members.beginReserve(phone.member);
  members.applyChanges([change(hold('mine')), change(hold('other'))]);
  t.same([phone.sent, laptop.sent], [[], []]);
  members.endReserve(phone.member, phone.connection, decided(hold('mine'), true));
  t.same([phone.sent, laptop.sent], [['other held'], ['mine held', 'other held']]);
});

t.test('a release whose announcement is lost reaches the other connections after the resync', async (t) => {
  const { members, calls, joinKnown, join } = setUp();
  const phone = await joinKnown('ann');
  const laptop = join('ann');
  members.applyChanges([change(hold('a'))]);
  members.endRelease(phone.member, decided(released('a')));
  members.applyChanges([change(hold('a'))]);
  t.same(laptop.sent, ['a held'], 'a late announcement of the hold is not sent');
  members.refetchAll(false);
  calls[1]?.reply([none()]);
  await turn();
  t.same(laptop.sent, ['a held', 'a released']);
});

t.test('a recorded result may be outdated: how the hold ended is looked up and sent', async (t) => {
  const { calls, ended, joinKnown, reserve } = setUp();
  const ann = await joinKnown('ann');
  // The first reply and the announcement of the release were lost with the connection to Redis.
  ended.set('r', released('r'));
  reserve(ann, decided(hold('r'), true));
  calls[1]?.reply([none()]);
  await turn();
  t.same(ann.sent, ['r released']);
  t.equal(ann.member.reservation('r')?.state, 'released');
});

t.test('a hold known only from a recorded result is sent to the other connections', async (t) => {
  const { calls, join, joinKnown, reserve } = setUp();
  const phone = await joinKnown('ann');
  const laptop = join('ann');
  // A room skips announcements of holds that it asked for, so the recorded result is all it gets.
  reserve(phone, decided(hold('s'), true));
  calls[1]?.reply([holding('s')]);
  await turn();
  t.same(laptop.sent, ['s held']);
});

t.test('a member who leaves with a reserve in flight is kept until its result arrives', async (t) => {
  const { members, join } = setUp();
  const { member, connection } = join('ann');
  members.beginReserve(member);
  members.leave(member, connection);
  members.refetchAll(false);
  const back = join('ann');
  t.equal(back.member, member);
  t.notOk(back.member.isNewTo('s'), 'until then requests go to Redis');
  members.leave(member, back.connection);
  const bob = join('bob');
  members.leave(bob.member, bob.connection);
  t.equal(members.get('bob'), undefined, 'a member who was not looked up yet is dropped');
});

t.test('a refunded order stays listed, and a lookup that is late does not undo it (W-4.3)', async (t) => {
  const { members, calls, join } = setUp();
  const { member: ann, sent } = join('ann');
  const lookup = members.lookUpHoldings(ann);
  await turn();
  members.applyChanges([change(hold('r1', { state: 'refunded', refundedAt: 2 }))]);
  calls[0]?.reply([{ ...none(), reservations: [hold('r1', { state: 'confirmed' })], sales: ['s'] }]);
  await lookup;
  t.match(ann.listedReservations(), [{ id: 'r1', state: 'refunded' }]);
  t.same(sent, ['r1 refunded']);
  t.notOk(ann.hasOrder);
  members.stop();
});
