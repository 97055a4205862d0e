import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { BuyerHoldings } from '../../src/domain/reservation.ts';
import { newEncodeCounts } from '../../src/fanout/frames.ts';
import { ok, type Result } from '../../src/protocol/codes.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { type Member, type MemberConnection, Members } from '../../src/rooms/members.ts';
import { ManualClock } from '../support/manual-clock.ts';

interface Question {
  readonly users: readonly string[];
  readonly answer: (standings: BuyerHoldings[]) => void;
}

/** A store that answers when the test says so. */
function setUp(): {
  audience: Members;
  questions: Question[];
  lookedUp: Map<string, ReservationView>;
  join: (user: string) => { member: Member; told: string[]; listener: MemberConnection };
} {
  const questions: Question[] = [];
  const lookedUp = new Map<string, ReservationView>();
  const store = {
    holdingsOf: (_show: string, users: readonly string[]) =>
      new Promise<Result<BuyerHoldings[]>>((resolve) =>
        questions.push({ users, answer: (standings) => resolve(ok(standings)) }),
      ),
    getReservation: (_show: string, id: string) => {
      const found = lookedUp.get(id);
      return found === undefined ? Promise.reject(new Error('nobody should ask')) : Promise.resolve(ok(found));
    },
  };
  const audience = new Members({
    showId: 'show',
    store,
    clock: new ManualClock(),
    encodes: newEncodeCounts(),
    now: () => 0,
  });
  const join = (user: string): { member: Member; told: string[]; listener: MemberConnection } => {
    const told: string[] = [];
    const listener: MemberConnection = {
      variant: 'json',
      send: (bytes) => told.push(JSON.parse(Buffer.from(bytes).toString()).reservation.id),
    };
    return { member: audience.join(user, listener), told, listener };
  };
  return { audience, questions, lookedUp, join };
}

const nothing = (): BuyerHoldings => ({ reservations: [], waits: [], sales: [] });
const holding = (id: string): BuyerHoldings => ({ ...nothing(), reservations: [hold(id)], sales: ['s'] });
const hold = (id: string): ReservationView => ({
  id,
  sale: 's',
  user: 'ann',
  state: 'held',
  lines: [],
  amount: 0,
  currency: 'EUR',
  createdAt: 0,
  heldUntil: 9,
});

t.test('a doubt about one person does not keep others waiting, however often it comes', async (t) => {
  const { audience, questions, lookedUp, join } = setUp();
  lookedUp.set('old', { ...hold('old'), state: 'released', endedAt: 1 });
  const { member: doubtful } = join('dora');
  const learned = audience.lookUpHoldings(doubtful);
  questions[0]?.answer([nothing()]);
  await learned;

  let answered = 1;
  const answerNext = async (): Promise<void> => {
    audience.refetchReplayedHold(doubtful, hold('old'));
    const question = questions[answered++];
    question?.answer(question.users.map(nothing));
    await turn();
  };
  for (let round = 0; round < 5; round += 1) {
    const { member } = join(`u${round}`);
    void audience.lookUpHoldings(member);
    // One question may be under way already; the next one has them.
    await answerNext();
    await answerNext();
    t.equal(member.known, true, `round ${round}`);
  }
});

t.test('who is doubted while Redis is asked is asked about again, and told what is new', async (t) => {
  const { audience, questions, join } = setUp();
  const { member, told } = join('ann');
  const { member: other } = join('bob');
  const known = Promise.all([audience.lookUpHoldings(member), audience.lookUpHoldings(other)]);
  // The first question left with Ann alone.
  questions[0]?.answer([nothing()]);
  await turn();
  t.same(questions[1]?.users, ['bob']);
  audience.markStale(member);
  audience.markStale(other);
  questions[1]?.answer([holding('too-old')]);
  await turn();
  t.equal(other.known, false, 'an answer older than the doubt is not believed');
  const users = questions[2]?.users ?? [];
  t.ok(users.includes('ann') && users.includes('bob'));
  questions[2]?.answer(users.map((user) => (user === 'ann' ? holding('new') : nothing())));
  await known;
  await turn();
  t.same([member.known, other.known], [true, true]);
  t.same(told, ['new']);
  t.same(audience.liveReservations(other), []);
});

t.test('after a broken line everybody known is asked about again, also those whose answer is on its way', async (t) => {
  const { audience, questions, join } = setUp();
  const { member, told } = join('ann');
  const known = audience.lookUpHoldings(member);
  const relearned = audience.refetchAll();
  questions[0]?.answer([nothing()]);
  await turn();
  t.equal(member.known, false);
  questions[1]?.answer([holding('a')]);
  await Promise.all([known, relearned]);
  t.equal(member.known, true);
  t.same(told, [], 'the welcome that waits for it says it');
});

t.test('a hold that was answered is told to the other sockets of its buyer, unless its end was quicker', async (t) => {
  const { audience, join } = setUp();
  const [phone, laptop] = [join('ann'), join('ann')];
  const { member } = phone;
  const answer = (id: string): void => {
    audience.remember(member, hold(id));
    audience.answer(member, phone.listener, hold(id));
  };
  answer('a');
  t.same([phone.told, laptop.told], [[], ['a']]);
  audience.applyChanges([
    { user: 'ann', id: 'b', isNewHold: false, view: () => ({ ...hold('b'), state: 'released', endedAt: 1 }) },
  ]);
  answer('b');
  t.same([phone.told, laptop.told], [['b'], ['a', 'b']], 'both heard of the release and of nothing older');
  t.equal(audience.reservation(member, 'b')?.state, 'released');
});

t.test('a recorded answer is not the last word: how the hold ended meanwhile is found out and told', async (t) => {
  const { audience, questions, lookedUp, join } = setUp();
  const { member, told, listener } = join('ann');
  const learned = audience.lookUpHoldings(member);
  questions[0]?.answer([nothing()]);
  await learned;
  // The reply was lost with the line, the repeat got the recorded answer, and the news of the
  // release was lost, too.
  lookedUp.set('r', { ...hold('r'), state: 'released', endedAt: 1 });
  audience.refetchReplayedHold(member, hold('r'));
  audience.answer(member, listener, hold('r'), true);
  questions[1]?.answer([nothing()]);
  await turn();
  t.same(told, ['r']);
  t.equal(audience.reservation(member, 'r')?.state, 'released');
});

t.test('a hold known by a recorded answer alone is told to the other devices', async (t) => {
  const { audience, questions, join } = setUp();
  const [phone, laptop] = [join('ann'), join('ann')];
  const { member } = phone;
  const learned = audience.lookUpHoldings(member);
  questions[0]?.answer([nothing()]);
  await learned;
  // The reply was lost with the line, and a room leaves out the news of its own new holds: the
  // answer is all it hears.
  audience.refetchReplayedHold(member, hold('s'));
  audience.answer(member, phone.listener, hold('s'), true);
  questions[1]?.answer([holding('s')]);
  await turn();
  t.same(laptop.told, ['s']);
});

t.test(
  'who left with a request under way is remembered until it is answered, whatever else is forgotten',
  async (t) => {
    const { audience, join } = setUp();
    const { member, listener } = join('ann');
    member.reservesInFlight = 1;
    audience.leave(member, listener);
    void audience.refetchAll();
    const back = join('ann');
    t.equal(back.member, member, 'the answer will find who came back');
    t.notOk(audience.isNewTo(back.member, 's'), 'and until then the gate lets them through to Redis');
    audience.leave(member, back.listener);
    member.reservesInFlight = 0;
    const { member: other, listener: others } = join('bob');
    audience.leave(other, others);
    t.equal(audience.get('bob'), undefined, 'of others nothing was known and nothing is under way');
  },
);
