/** N buyers reserve M units at the moment the countdown reaches zero. */
import { type EveningResult, openEvening } from '../evening/host.ts';
import type { Stretch } from '../generator/assemble.ts';
import { commonLevels, latencyLevel, milliseconds, mostLevel, share } from '../verdict/levels.ts';
import { figuresOver, ofRound } from './figures.ts';
import { count, duration } from './flags.ts';
import { joinEvenly } from './room.ts';
import { joinRateFlag, p99Flag, zeroSpreadFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import type { Run } from './scenario-run.ts';

const FLAGS = {
  buyers: count(2_000, 'buyers', { max: 2_000_000 }),
  units: count(400, 'units for sale', { max: 10_000_000 }),
  joinRate: joinRateFlag(500),
  within: duration(500, 'reaction time: buyers press within this time after zero'),
  early: share(0.05, 'of the buyers also press before the sale opens'),
  twice: share(0.05, 'of the buyers send their request twice, with the same key'),
  regret: share(0.05, 'of the granted holds are released'),
  pays: share(0.7, 'of the granted holds are paid; the rest expire'),
  zeroSpread: zeroSpreadFlag,
  decisionP99: p99Flag('press to reply'),
  joinP99: p99Flag('join to welcome'),
  allReplied: duration<number | null>(null, 'fail if the last reply comes later than this after zero'),
};

const COUNTDOWN_MS = 3_000;
const JOIN_WAIT_MS = 20_000;
const REPLY_WAIT_MS = 30_000;
const PAY_WITHIN_MS = 2_000;
const HOLD_MS = 15_000;

type Round = EveningResult & { readonly stretch: Stretch };

export const rush = defineLoad({
  name: 'rush',
  about: 'N buyers on M units at zero: every reply, and the books afterwards',
  flags: FLAGS,
  collect: (): Round[] => [],
  async load(run, rounds) {
    for (let round = 1; round <= run.common.rounds; round++) rounds.push(await sellOnce(run));
  },
  report(run, rounds) {
    const { flags } = run;
    const decision = run.latency('decision');
    const { lower, neither } = figuresOver(rounds);
    const allRepliedMs = ({ rushes }: Round): number =>
      Math.max(...rushes.map(({ firstDueMs, lastReplyMs }) => lastReplyMs - firstDueMs));
    return {
      figures: [
        neither('replies', '', ({ rushes }) => rushes[0]?.replies, 'to presses, including repeated ones'),
        neither('accepted', '', ({ rushes }) => rushes[0]?.accepted, 'replies with a reservation, with repeated ones'),
        lower('all replied', 'ms', allRepliedMs, 'from the first due press to the last reply'),
        lower('decision p50', 'ms', run.p50Of('decision'), 'from due to reply'),
        lower('decision p99', 'ms', run.p99Of('decision'), 'from due to reply'),
        lower('accepted p99', 'ms', run.p99Of('accept'), 'from due to reply, accepted only'),
        lower('zero spread', 'ms', spreadOf('clock'), 'between the first and the last clock at zero'),
        lower('opening spread', 'ms', spreadOf('opened'), 'between the first and the last viewer that received it'),
      ],
      checks: rounds.flatMap(({ checks }, i) => checks.map((check) => ({ ...check, name: ofRound(check.name, i) }))),
      levels: [
        ...commonLevels(run.common, decision),
        ...latencyLevel('decisionP99', flags.decisionP99, decision),
        ...latencyLevel('joinP99', flags.joinP99, run.latency('join')),
        ...mostLevel('allReplied', flags.allReplied, Math.max(...rounds.map(allRepliedMs)), milliseconds),
      ],
      headline: decision,
    };
  },
});

async function sellOnce(run: Run<typeof FLAGS>): Promise<Round> {
  const { flags, common, fleet, target } = run;
  const { buyers, units, within: withinMs, early, twice, regret, pays } = flags;
  run.phase('preparing');
  const options = { label: 'rush', users: buyers, clocks: true, pays, payWithinMs: PAY_WITHIN_MS };
  const host = await openEvening(target, fleet, common, options);
  await run.readServer();
  await joinEvenly(run, host, buyers, flags.joinRate, JOIN_WAIT_MS);
  run.phase('countdown');
  const times = { opensInMs: COUNTDOWN_MS, durationMs: 600_000, holdMs: HOLD_MS, withinMs };
  const { openingMs } = await host.sell({ units, buyers, perBuyer: 2, early, twice, regret, ...times });
  const stretch = run.phase('rush', { fromMs: openingMs, measured: true });
  const lastMs = openingMs + withinMs + 1_000;
  const haveReplied = (): boolean => fleet.nowMs() > lastMs + 1_000 && run.gauge('presses waiting') === 0;
  await fleet.when('a reply to every press', haveReplied, withinMs + COUNTDOWN_MS + REPLY_WAIT_MS);
  run.phase('paying');
  await fleet.until(lastMs + PAY_WITHIN_MS + 2_000);
  await run.readServer();
  return { ...(await host.end(flags.zeroSpread)), stretch };
}

const spreadOf =
  (what: 'clock' | 'opened') =>
  ({ evidence: { zeros } }: Round): number | undefined => {
    const spreads = zeros.slice(0, 1).map((zero) => zero[`${what}LastMs`] - zero[`${what}FirstMs`]);
    return spreads.find((spread) => spread >= 0);
  };
