/** A whole evening in minutes: joins, chat, hearts, three flash sales, slow phones, reconnects. */
import { eveningChat, type TimedText } from '../evening/chat.ts';
import { type EveningResult, type Host, openEvening } from '../evening/host.ts';
import type { Check } from '../report/result.ts';
import { commonLevels, latencyLevel, share, shareLevel } from '../verdict/levels.ts';
import type { CommonFlags } from './common-flags.ts';
import { figuresOver, runFigures } from './figures.ts';
import { count, duration, type FlagValues, text } from './flags.ts';
import { chatRateFlag, p99Flag, viewersFlag, zeroSpreadFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import type { Run } from './scenario-run.ts';

const FLAGS = {
  viewers: viewersFlag(500),
  evening: duration(60_000, 'length of the evening; everything in it is scaled to this time'),
  chat: chatRateFlag(10),
  hearts: count(50, 'hearts per second on average', { min: 0, max: 100_000 }),
  units: count(150, 'units of each of the three sales', { max: 10_000_000 }),
  within: duration(1_500, 'reaction time: buyers press within this time after zero'),
  pays: share(0.65, 'of the granted holds are paid'),
  slow: share(0.03, 'of the viewers stop reading for a tenth of the evening'),
  reconnects: share(0.25, 'of the viewers lose their connection in the wave'),
  trace: text<string | null>(null, 'recorded chat: JSON lines {"at_ms":1200,"user":"maya","text":"hi"}', 'FILE'),
  zeroSpread: zeroSpreadFlag,
  decisionP99: p99Flag('press to reply'),
  joinP99: p99Flag('join to welcome'),
  deliveredShare: share<number | null>(null, 'fail if less of the chat than this reached its readers'),
};

/** The schedule, in shares of the evening. */
const OPENINGS = [0.25, 0.5, 0.75] as const;
const EARLY_VIEWERS = 0.7;
const EARLY_BY = 0.2;
const LATE_BY = 0.7;
const SLOW_AT = 0.35;
const SLOW_FOR = 0.1;
const WAVE_AT = 0.62;
const WAVE_OVER = 0.05;
const PINS = 8;
const ANNOUNCED_BEFORE_MS = 3_000;
const HOLD_MS = 15_000;
/** The grace of a hold and the sweep after it. */
const EXPIRY_MARGIN_MS = 2_000;
const BACK_MS = 2_000;
const SETTLE_MS = 3_000;

export const show = defineLoad({
  name: 'show',
  about: 'a whole evening in minutes: joins, bursts of chat, hearts, pins, three flash sales, slow phones, reconnects',
  flags: FLAGS,
  // Refuses an unusable recording before anything is started.
  check: (flags, common) => void (flags.trace !== null && chatOf(flags, common)),
  collect: ({ flags, common }: Run<typeof FLAGS>) => ({ chat: chatOf(flags, common), evenings: [] as EveningResult[] }),
  async load(run, { chat, evenings }) {
    const { flags, common, fleet } = run;
    const { viewers: users, pays } = flags;
    for (let round = 1; round <= common.rounds; round++) {
      run.phase('preparing');
      const options = { label: 'show', users, clocks: true, pays, payWithinMs: HOLD_MS / 2 };
      const host = await openEvening(run.target, fleet, common, options);
      await run.readServer();
      await runEvening(run, host, chat.messages);
      await run.readServer();
      evenings.push(await host.end(flags.zeroSpread));
    }
  },
  report(run, { chat, evenings }) {
    const { flags } = run;
    const [decision, delivery] = [run.latency('decision'), run.latency('delivery')];
    const delivered = run.count('delivered');
    const notDelivered = evenings.map(({ evidence: { connections } }) => connections.missed + connections.chatGaps);
    const due = notDelivered.reduce((sum, lost) => sum + lost, delivered);
    const { lower, neither } = figuresOver(evenings);
    const endsIn =
      (state: string) =>
      ({ evidence: { ends } }: EveningResult) =>
        new Set(ends.filter((end) => end.state === state).map(({ reservation }) => reservation)).size;
    const allReplied =
      (sale: string) =>
      ({ rushes }: EveningResult) => {
        const rush = rushes.find((one) => one.sale === sale);
        return rush === undefined ? undefined : rush.lastReplyMs - rush.firstDueMs;
      };
    const since = 'from due to each reader';
    return {
      figures: [
        runFigures.neither('chat delivered', '', () => delivered, 'messages x readers'),
        runFigures.lower('chat delivery p50', 'ms', () => delivery?.p50Ms, since),
        runFigures.lower('chat delivery p99', 'ms', () => delivery?.p99Ms, since),
        runFigures.lower('decision p99', 'ms', () => decision?.p99Ms, 'presses of all sales, from due to reply'),
        ...(evenings[0]?.rushes ?? []).map(({ sale }, i) =>
          lower(`sale ${i + 1} all replied`, 'ms', allReplied(sale), 'from the first due press to the last reply'),
        ),
        runFigures.lower('resume p99', 'ms', () => run.latency('resume')?.p99Ms, 'of the wave, from due to welcome'),
        neither('orders', '', endsIn('confirmed'), 'holds that were paid'),
        neither('expired', '', endsIn('expired'), 'holds that were not paid'),
      ],
      checks: evenings.flatMap(({ checks }): readonly Check[] => checks),
      levels: [
        ...commonLevels(run.common, delivery),
        ...latencyLevel('decisionP99', flags.decisionP99, decision),
        ...latencyLevel('joinP99', flags.joinP99, run.latency('join')),
        ...shareLevel('deliveredShare', flags.deliveredShare, delivered, due),
      ],
      headline: delivery,
      notes: [chat.note],
    };
  },
});

const chatOf = ({ trace: file, chat, evening }: FlagValues<typeof FLAGS>, { seed }: CommonFlags) =>
  eveningChat({ file, seed, perSecond: chat, forMs: evening, openings: OPENINGS.map((at) => at * evening) });

type ShowRun = Run<typeof FLAGS>;
/** Returns the moment at a share of the evening. */
type At = (share: number) => number;

async function runEvening(run: ShowRun, host: Host, messages: readonly TimedText[]): Promise<void> {
  const { fleet, flags } = run;
  const startMs = fleet.secondAfter(500);
  const at: At = (share) => startMs + share * flags.evening;
  scheduleViewers(run, host, at, messages);
  await Promise.all([pinProducts(run, host, at), openSales(run, host, at), markPhases(run, at)]);
  const lastHoldMs = at(OPENINGS[2]) + flags.within + HOLD_MS + EXPIRY_MARGIN_MS;
  await fleet.until(Math.max(at(1), lastHoldMs));
  run.phase('settling');
  await run.wait(SETTLE_MS);
}

/** Commands that are sent once, before they are due. */
function scheduleViewers({ flags }: ShowRun, host: Host, at: At, messages: readonly TimedText[]): void {
  const { viewers, hearts, evening, slow, reconnects } = flags;
  const early = Math.round(viewers * EARLY_VIEWERS);
  const [atMs, lateMs] = [at(0), at(EARLY_BY)];
  host.command({ do: 'join', atMs, from: 0, to: early, overMs: EARLY_BY * evening, shape: 'ramp' });
  const overMs = (LATE_BY - EARLY_BY) * evening;
  host.command({ do: 'join', atMs: lateMs, from: early, to: viewers, overMs, shape: 'fade' });
  host.sendChat(atMs, messages);
  host.command({ do: 'hearts', atMs, perSecond: Math.max(1, hearts), forMs: evening });
  host.command({ do: 'stall', atMs: at(SLOW_AT), share: slow, forMs: SLOW_FOR * evening });
  const wave = { atMs: at(WAVE_AT), overMs: WAVE_OVER * evening, awayMs: 0, backMs: BACK_MS };
  host.command({ do: 'drop', share: reconnects, ...wave });
}

async function pinProducts({ fleet }: ShowRun, { office, show }: Host, at: At): Promise<void> {
  for (let i = 0; i < PINS; i++) {
    await fleet.until(at((i + 0.5) / PINS));
    await office.pin(show, i % 2 === 0 ? 'tee' : null);
  }
}

async function openSales({ flags, fleet }: ShowRun, host: Host, at: At): Promise<void> {
  const { units, viewers, within: withinMs, evening } = flags;
  const durationMs = Math.max(3_000, Math.round(evening / 6));
  const behavior = { buyers: Math.round(viewers * 0.8), perBuyer: 2, early: 0.05, twice: 0.05, regret: 0.08 };
  for (const opening of OPENINGS) {
    const openingMs = at(opening);
    await fleet.until(openingMs - ANNOUNCED_BEFORE_MS);
    await host.office.announce(host.show, 'Get ready: what you hold is yours for 15 seconds');
    const opensInMs = Math.max(500, Math.round(openingMs - fleet.nowMs()));
    await host.sell({ units, opensInMs, durationMs, holdMs: HOLD_MS, withinMs, ...behavior });
  }
}

async function markPhases(run: ShowRun, at: At): Promise<void> {
  const { evening, within } = run.flags;
  const afterSale = Math.max(0.06, (within + 1_000) / evening);
  const phases: Array<readonly [name: string, share: number]> = [
    ['joining', 0],
    ['sale 1', OPENINGS[0]],
    ['between sales', OPENINGS[0] + afterSale],
    ['slow phones', SLOW_AT],
    ['sale 2', OPENINGS[1]],
    ['reconnect wave', WAVE_AT],
    ['chat', WAVE_AT + WAVE_OVER + BACK_MS / evening],
    ['sale 3', OPENINGS[2]],
    ['late evening', OPENINGS[2] + afterSale],
  ];
  for (const [name, share] of phases.sort(([, a], [, b]) => a - b)) {
    const fromMs = at(share);
    await run.fleet.until(fromMs);
    run.phase(name, { fromMs, measured: true });
  }
}
