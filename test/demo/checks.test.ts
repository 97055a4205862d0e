/**
 * The demo's own checks must be able to fail: each violation it claims to look for is found when it
 * is there. And its dice are loaded.
 */
import t from 'tap';
import { judge } from '../../bench/demo/report.ts';
import type { Outcome } from '../../bench/demo/show.ts';
import { createPrng } from '../../bench/generator/prng.ts';
import { parseTrace } from '../../bench/traces/trace.ts';
import { Tally } from '../../bench/users/counters.ts';
import { createVoice } from '../../bench/users/phrases.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';

const hold = (id: string, user: string, more: Partial<ReservationView> = {}): ReservationView => ({
  id,
  sale: 'flash',
  user,
  state: 'held',
  lines: [{ sku: 'A', qty: 1 }],
  amount: 100,
  currency: 'EUR',
  createdAt: 1_000,
  heldUntil: 16_000,
  ...more,
});
const outcome = (sold: number, reservations: number, more: Partial<Outcome> = {}): Outcome => ({
  show: 's',
  seconds: 1,
  headOffset: 5,
  behind: 0,
  verification: {
    show: 's',
    entries: 1,
    reservations,
    refusals: 0,
    localRefusals: 0,
    violations: [],
    sales: [
      {
        id: 'flash',
        skus: [{ sku: 'A', product: 'p', price: 100, allocated: 9, available: 9 - sold, held: 0, sold, withdrawn: 0 }],
      },
    ],
  },
  ...more,
});

t.test('a right run has nothing wrong', async (t) => {
  const tally = new Tally();
  tally.changed(hold('r1', 'ana'));
  tally.accepted('ana', hold('r1', 'ana'), false, 1);
  tally.accepted('ana', hold('r1', 'ana'), true, 1);
  tally.changed(hold('r1', 'ana', { state: 'confirmed' }));
  t.same(tally.outcomes, { accepted: 1, replayed: 1, unknown: 0, confirmed: 0, confirmFailed: 0 });
  t.same(judge(outcome(1, 1), tally), []);
});

t.test('what clients can see for themselves', async (t) => {
  const wrong = (act: (tally: Tally) => void): string => {
    const tally = new Tally();
    act(tally);
    return judge(outcome(0, 9), tally).join('\n');
  };
  t.match(
    wrong((tally) => tally.accepted('bo', hold('r1', 'ana'), false, 2)),
    /of ana was handed to bo/,
  );
  t.match(
    wrong((tally) => {
      tally.accepted('ana', hold('r1', 'ana'), false, 2);
      tally.accepted('bo', hold('r1', 'bo'), false, 2);
    }),
    /was given to ana and to bo/,
  );
  t.match(
    wrong((tally) => {
      tally.accepted('ana', hold('r1', 'ana'), false, 2);
      tally.accepted('ana', hold('r1', 'ana'), false, 2);
    }),
    /accepted twice as if it were new/,
  );
  t.match(
    wrong((tally) => {
      tally.accepted('ana', hold('r1', 'ana'), false, 1);
      tally.accepted('ana', hold('r2', 'ana', { createdAt: 2_000 }), false, 1);
    }),
    /holds and owns 2 units/,
  );
  t.match(
    wrong((tally) => {
      tally.changed(hold('r1', 'ana', { state: 'expired' }));
      tally.changed(hold('r1', 'ana', { state: 'confirmed' }));
    }),
    /ended twice: expired, then confirmed/,
  );
  const lapsed = new Tally();
  lapsed.accepted('ana', hold('r1', 'ana'), false, 1);
  lapsed.accepted('ana', hold('r2', 'ana', { createdAt: 16_500 }), false, 1);
  t.same(lapsed.violations, [], 'a hold that has lapsed by the time of the next one does not count');
});

t.test('what clients saw against the books, and the events', async (t) => {
  const tally = new Tally();
  tally.accepted('ana', hold('r1', 'ana', { state: 'confirmed' }), false, 1);
  t.match(judge(outcome(0, 1), tally), [/clients know of 1 sold units, the books of 0/]);
  t.match(judge(outcome(2, 1), tally), [/clients know of 1 sold units, the books of 2/]);
  t.same(judge(outcome(2, 2), tally), [], 'somebody else may have bought over the page');
  t.match(judge(outcome(1, 0), tally), [/the ledger knows 0/]);
  t.match(judge(outcome(1, 1, { behind: 2 }), tally), [/2 connected viewers/]);
  t.match(judge(outcome(1, 1, { headOffset: null }), tally), [/no welcome/]);
  tally.line.gaps = 1;
  t.match(judge(outcome(1, 1), tally), [/1 gaps/]);
});

t.test(
  'delivery time is measured at others, not at the speaker, and not for what waited out a reconnect',
  async (t) => {
    const tally = new Tally();
    tally.chatSent('ana', 'hi');
    const now = performance.now();
    tally.chatReceived('ana', 'hi', 'ana', now - 1_000);
    tally.chatReceived('ana', 'hi', 'bo', now + 1_000);
    tally.chatReceived('cy', 'never sent', 'bo', now - 1_000);
    t.equal(tally.latencySamples, 0);
    tally.chatReceived('ana', 'hi', 'bo', now - 1_000);
    t.equal(tally.latencySamples, 1);
    t.equal(tally.delivered.chat, 4);
  },
);

t.test('the same seed gives the same audience', async (t) => {
  const draw = (seed: number): string[] => {
    const random = createPrng(seed);
    return Array.from({ length: 30 }, (_, index) => {
      const own = random.fork(index);
      const voice = createVoice(own, index);
      return `${voice.name}: ${voice.say(own, 'rush', ['Parka'], ['M'])}`;
    });
  };
  t.same(draw(5), draw(5));
  t.notSame(draw(5), draw(6));
  t.ok(
    draw(5).every((line) => !/[{}]/.test(line)),
    'gaps are filled',
  );
  const random = createPrng(1);
  const mean = Array.from({ length: 5_000 }, () => random.waitMs(100)).reduce((sum, ms) => sum + ms, 0) / 5_000;
  t.ok(mean > 90 && mean < 110, `mean wait ${mean}`);
});

t.test('a recording is read in order of time, and every bad line is named', async (t) => {
  const reading = parseTrace(
    '{"at_ms":20,"user":"b","text":"two"}\r\n\n{"at_ms":10,"user":"a","text":"one","more":1}\n[]\n{"at_ms":"1","user":"a","text":"x"}\n{"at_ms":1,"user":"","text":"x"}\n{"at_ms":1,"user":"a","text":" "}\n',
  );
  t.same(reading.messages, [
    { atMs: 10, user: 'a', text: 'one' },
    { atMs: 20, user: 'b', text: 'two' },
  ]);
  t.match(reading.mistakes, [/^line 4: not a JSON object/, /^line 5: "at_ms"/, /^line 6: "user"/, /^line 7: "text"/]);
  t.equal(parseTrace('x\n'.repeat(500)).mistakes.length, 21, 'bounded');
});
