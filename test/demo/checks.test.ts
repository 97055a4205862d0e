/** The checks of the demo find each violation, and its users are the same for the same seed. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readOptions } from '../../bench/demo/options.ts';
import { violationsOf } from '../../bench/demo/report.ts';
import { type Outcome, withOtherBuyers } from '../../bench/demo/show.ts';
import { createPrng } from '../../bench/generator/prng.ts';
import { parseTrace } from '../../bench/traces/trace.ts';
import { UserCounters } from '../../bench/users/counters.ts';
import { createVoice } from '../../bench/users/phrases.ts';
import { Probe } from '../../bench/users/probe.ts';
import type { Books } from '../../bench/verdict/books.ts';
import { checkSales } from '../../bench/verdict/checks.ts';
import type { SaleBooks } from '../../src/domain/sale.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { ROOT } from '../support/root.ts';
import { holdView } from '../support/show-view.ts';

t.test('scripts/demo --help prints the flags of the demo, before anything is installed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-demo-help-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  // Without the functions that install, without packages.
  for (const name of ['demo', 'demo-help.txt']) cpSync(join(ROOT, 'scripts', name), join(folder, name));
  const reading = readOptions(['--help'], './data');
  for (const flags of [['--help'], ['--viewers', '5', '-h']]) {
    const { status, stdout } = spawnSync(join(folder, 'demo'), flags, { encoding: 'utf8', cwd: tmpdir() });
    t.same({ status, stdout }, { status: 0, stdout: reading.kind === 'help' ? reading.page : '' });
  }
});

const ITEMS = [{ sku: 'A', qty: 1 }];

const hold = (id: string, user: string, more: Partial<ReservationView> = {}): ReservationView =>
  holdView(id, { sale: 'flash', user, lines: ITEMS, createdAt: 1_000, heldUntil: 16_000, ...more });

/** Grants the reservation with the key `k-<id>` unless given. */
const grant = (probe: Probe, view: ReservationView, { key = `k-${view.id}`, replayed = false } = {}): void =>
  probe.granted({ user: view.user, key, sale: 'flash', lines: ITEMS, sentMs: 0 }, view, replayed);

/** A run in which these reservations were granted. */
const granted =
  (...views: ReservationView[]) =>
  (probe: Probe): void => {
    for (const view of views) grant(probe, view);
  };

interface Case {
  readonly perBuyer?: number;
  readonly sold?: number;
  readonly held?: number;
  readonly reservations?: number;
  readonly looked?: ReadonlyArray<ReservationView>;
  readonly outcome?: Partial<Outcome>;
  readonly see: (probe: Probe, counters: UserCounters) => void;
}

function violationsIn({ perBuyer = 1, sold = 0, held = 0, reservations = 1, looked = [], outcome, see }: Case): string {
  const probe = new Probe();
  const counters = new UserCounters();
  see(probe, counters);
  const units = { allocated: 9, available: 9 - sold - held, held, sold, withdrawn: 0 };
  const sku = { sku: 'A', product: 'p', price: 100, ...units };
  const counts = { entries: 1, reservations, refusals: 0, localRefusals: 0, violations: [] };
  const verification = { show: 's', ...counts, sales: [{ id: 'flash', skus: [sku] }] };
  const sale = { id: 'flash', perBuyer, skus: [sku] } as unknown as SaleBooks;
  const books: Books = { verification, sales: [sale], looked: new Map(looked.map((view) => [view.id, view])) };
  const evidence = withOtherBuyers(probe.evidence(), books);
  const checks = checkSales(evidence, books);
  const whole = { show: 's', seconds: 1, headOffset: 5, behind: 0, verification, checks, evidence, ...outcome };
  return violationsOf(whole, counters).join('\n');
}

t.test('a correct run has no violation', async (t) => {
  const see = (probe: Probe): void => {
    grant(probe, hold('r1', 'ana'));
    grant(probe, hold('r1', 'ana'), { replayed: true });
    probe.changed(hold('r1', 'ana', { state: 'confirmed' }));
  };
  t.equal(violationsIn({ see, sold: 1 }), '');
  t.equal(violationsIn({ see, sold: 2, reservations: 2 }), '', 'a person on the viewer page may have bought too');
  const expired = granted(hold('r1', 'ana'), hold('r2', 'ana', { createdAt: 16_500, heldUntil: 30_000 }));
  t.equal(violationsIn({ see: expired, reservations: 2, held: 1 }), '', 'an expired hold does not count for the limit');
});

t.test('each violation is found', async (t) => {
  const [ana, bo, second] = [hold('r1', 'ana'), hold('r1', 'bo'), hold('r2', 'ana', { createdAt: 2_000 })];
  const looked = [bo];
  const confirmed = hold('r1', 'ana', { state: 'confirmed' });
  const endTwice = (probe: Probe): void => {
    grant(probe, ana);
    probe.changed(hold('r1', 'ana', { state: 'expired' }));
    probe.changed(confirmed);
  };
  const cases: ReadonlyArray<readonly [name: string, violation: RegExp, run: Case]> = [
    ['the reservation of another user', /r1 was granted to ana .* and belongs to bo/, { see: granted(ana), looked }],
    ['one reservation for two users', /r1 was given to ana .* and to bo/, { see: granted(ana, bo) }],
    ['one key decided twice', /r1 was granted twice as new/, { see: granted(ana, ana) }],
    ['a buyer over the limit', /ana had 2 units/, { reservations: 2, see: granted(ana, second) }],
    ['two ends of one reservation', /r1 .* expired .* confirmed/, { see: endTwice }],
    ['a sold unit that the books do not have', /know of 1 sold units, the books of 0/, { see: granted(confirmed) }],
    ['a sold unit that no user knows', /sold 2 units, clients know of 1/, { sold: 2, see: granted(confirmed) }],
    ['a reservation that is not in the ledger', /the ledger has 0/, { reservations: 0, see: granted(confirmed) }],
    ['a viewer behind the log', /2 connected viewers/, { see() {}, outcome: { behind: 2 } }],
    ['no welcome at the end', /no welcome/, { see() {}, outcome: { headOffset: null } }],
    ['a gap in the events', /1 gaps/, { see: (_, { connections }) => void Object.assign(connections, { gaps: 1 }) }],
  ];
  for (const [name, violation, run] of cases) t.match(violationsIn(run), violation, name);
});

t.test('delivery time counts at other viewers, and not for messages from before a connection', async (t) => {
  const counters = new UserCounters();
  counters.chatSent('ana', 'hi');
  const now = performance.now();
  counters.chatReceived('ana', 'hi', 'ana', now - 1_000);
  counters.chatReceived('ana', 'hi', 'bo', now + 1_000);
  counters.chatReceived('cy', 'never sent', 'bo', now - 1_000);
  t.equal(counters.latencySamples, 0);
  counters.chatReceived('ana', 'hi', 'bo', now - 1_000);
  t.equal(counters.latencySamples, 1);
  t.equal(counters.delivered.chat, 4);
});

t.test('the same seed gives the same users', async (t) => {
  const draw = (seed: number): string[] => {
    const random = createPrng(seed);
    return Array.from({ length: 30 }, (_, index) => {
      const own = random.fork(index);
      const voice = createVoice(own, index);
      return `${voice.name}: ${voice.phrase(own, 'rush', ['Parka'], ['M'])}`;
    });
  };
  t.same(draw(5), draw(5));
  t.notSame(draw(5), draw(6));
  t.notMatch(draw(5).join(), /[{}]/, 'gaps are filled');
  const random = createPrng(1);
  const mean = Array.from({ length: 5_000 }, () => random.waitMs(100)).reduce((sum, ms) => sum + ms, 0) / 5_000;
  t.ok(mean > 90 && mean < 110, `mean wait ${mean}`);
});

t.test('a recording is sorted by time, and every wrong line is named', async (t) => {
  const lines = [
    '{"at_ms":20,"user":"b","text":"two"}\r\n',
    '{"at_ms":10,"user":"a","text":"one","more":1}\n[]',
    '{"at_ms":"1","user":"a","text":"x"}',
    '{"at_ms":1,"user":"","text":"x"}',
    '{"at_ms":1,"user":"a","text":" "}\n',
  ];
  const reading = parseTrace(lines.join('\n'));
  t.same(reading.messages, [
    { atMs: 10, user: 'a', text: 'one' },
    { atMs: 20, user: 'b', text: 'two' },
  ]);
  t.match(reading.mistakes, [/^line 4: not a JSON object/, /^line 5: "at_ms"/, /^line 6: "user"/, /^line 7: "text"/]);
  t.equal(parseTrace('x\n'.repeat(500)).mistakes.length, 21, 'bounded');
});
