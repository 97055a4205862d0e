/**
 * A whole evening in minutes: people trickle in, talk, tap hearts, three flash sales, holds that
 * lapse, slow phones, a wave of reconnects.
 */

import { eveningChat, type Saying } from '../evening/chat.ts';
import { type Ended, type Host, openEvening } from '../evening/host.ts';
import type { Fleet } from '../generator/contract.ts';
import type { BenchResult, Figure } from '../report/result.ts';
import { commonLevels, latencyLevel, share, shareLevel } from '../verdict/levels.ts';
import { type Chronicle, openRun } from './chronicle.ts';
import { figure, figuresOfRounds } from './figures.ts';
import { count, duration, type FlagValues, text } from './flags.ts';
import { defineScenario } from './scenario.ts';

const FLAGS = {
  viewers: count(500, 'how many come in the course of it', { max: 2_000_000 }),
  evening: duration(60_000, 'how long it lasts; everything in it is spread over this time'),
  chat: count(10, 'messages a second on average; bursts go far above', { min: 0, max: 100_000 }),
  hearts: count(50, 'hearts a second on average', { min: 0, max: 100_000 }),
  units: count(150, 'units of each of the three sales', { max: 10_000_000 }),
  within: duration(1_500, 'how long people take to press after zero'),
  pays: share(0.65, 'of those who got one pay'),
  slow: share(0.03, 'of the people stop reading for a tenth of the evening'),
  reconnects: share(0.25, 'of the people lose their line in the wave'),
  trace: text<string | null>(
    null,
    'recorded chat in place of invented: JSON lines {"at_ms":1200,"user":"maya","text":"hi"}',
    'FILE',
  ),
  zeroSpread: duration(250, 'fail when viewers see zero further apart than this'),
  decisionP99: duration<number | null>(null, 'fail when the 99th percentile from press to answer is above this'),
  joinP99: duration<number | null>(null, 'fail when the 99th percentile from join to welcome is above this'),
  deliveredShare: share<number | null>(null, 'fail when less of the chat than this reached its readers'),
};
type Flags = FlagValues<typeof FLAGS>;

/** The running order, in shares of the evening. */
const OPENINGS = [0.25, 0.5, 0.75] as const;
const EARLY_CROWD = 0.7;
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
const LAPSE_MARGIN_MS = 2_000;
const BACK_MS = 2_000;
const SETTLE_MS = 3_000;

export const show = defineScenario({
  name: 'show',
  about:
    'a whole evening in minutes: joins, chat in bursts, hearts, pins, three flash sales, slow phones, a wave of reconnects',
  flags: FLAGS,
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const chat = eveningChat({
      file: flags.trace,
      seed: common.seed,
      perSecond: flags.chat,
      forMs: flags.evening,
      openings: OPENINGS.map((at) => at * flags.evening),
    });
    const run = await openRun(context);
    const { target, fleet, chronicle } = run;
    const nights: Ended[] = [];
    await chronicle.unlessStopped(async () => {
      for (let round = 1; round <= common.rounds; round++) {
        chronicle.phase('preparing');
        const options = {
          label: 'show',
          people: flags.viewers,
          clocks: true,
          pays: flags.pays,
          payWithinMs: HOLD_MS / 2,
        };
        const host = await openEvening(target, fleet, common, options);
        await chronicle.readServer();
        await new Evening(host, fleet, chronicle, flags).run(chat.messages);
        await chronicle.readServer();
        nights.push(await host.end(flags.zeroSpread));
      }
    });
    const decision = chronicle.latency('decision');
    const delivery = chronicle.latency('delivery');
    return chronicle.finish({
      figures: figuresOf(chronicle, nights),
      checks: nights.flatMap(({ checks }) => checks),
      levels: [
        ...commonLevels(common, delivery),
        ...latencyLevel('decisionP99', flags.decisionP99, decision),
        ...latencyLevel('joinP99', flags.joinP99, chronicle.latency('join')),
        ...shareLevel('deliveredShare', flags.deliveredShare, chronicle.count('delivered'), due(chronicle, nights)),
      ],
      headline: delivery,
      notes: [chat.note],
    });
  },
});

class Evening {
  readonly #host: Host;
  readonly #fleet: Fleet;
  readonly #chronicle: Chronicle;
  readonly #flags: Flags;
  readonly #fromMs: number;

  constructor(host: Host, fleet: Fleet, chronicle: Chronicle, flags: Flags) {
    this.#host = host;
    this.#fleet = fleet;
    this.#chronicle = chronicle;
    this.#flags = flags;
    this.#fromMs = fleet.secondAfter(500);
  }

  #at(share: number): number {
    return this.#fromMs + share * this.#flags.evening;
  }

  async run(messages: readonly Saying[]): Promise<void> {
    this.#planCrowd(messages);
    const acts = [this.#pins(), this.#sales(), this.#marks()];
    await Promise.all(acts);
    const lastHoldMs = this.#at(OPENINGS[2]) + this.#flags.within + HOLD_MS + LAPSE_MARGIN_MS;
    await this.#fleet.until(Math.max(this.#at(1), lastHoldMs));
    this.#chronicle.phase('settling');
    await this.#fleet.until(this.#fleet.nowMs() + SETTLE_MS);
  }

  /** What needs no host: it is told once and happens by itself. */
  #planCrowd(messages: readonly Saying[]): void {
    const { viewers, hearts, evening, slow, reconnects } = this.#flags;
    const punctual = Math.round(viewers * EARLY_CROWD);
    this.#host.command({
      do: 'join',
      atMs: this.#at(0),
      from: 0,
      to: punctual,
      overMs: EARLY_BY * evening,
      shape: 'ramp',
    });
    this.#host.command({
      do: 'join',
      atMs: this.#at(EARLY_BY),
      from: punctual,
      to: viewers,
      overMs: (LATE_BY - EARLY_BY) * evening,
      shape: 'fade',
    });
    this.#host.talk(this.#at(0), messages);
    this.#host.command({ do: 'hearts', atMs: this.#at(0), perSecond: Math.max(1, hearts), forMs: evening });
    this.#host.command({ do: 'stall', atMs: this.#at(SLOW_AT), share: slow, forMs: SLOW_FOR * evening });
    this.#host.command({
      do: 'drop',
      atMs: this.#at(WAVE_AT),
      share: reconnects,
      overMs: WAVE_OVER * evening,
      awayMs: 0,
      backMs: BACK_MS,
    });
  }

  async #pins(): Promise<void> {
    for (let i = 0; i < PINS; i++) {
      await this.#fleet.until(this.#at((i + 0.5) / PINS));
      await this.#host.office.pin(this.#host.show, i % 2 === 0 ? 'tee' : null);
    }
  }

  async #sales(): Promise<void> {
    const { units, viewers, within, evening } = this.#flags;
    for (const at of OPENINGS) {
      await this.#fleet.until(this.#at(at) - ANNOUNCED_BEFORE_MS);
      await this.#host.office.announce(this.#host.show, 'Get ready: what you hold is yours for 15 seconds');
      await this.#host.sell({
        units,
        opensInMs: Math.max(500, Math.round(this.#at(at) - this.#fleet.nowMs())),
        durationMs: Math.max(3_000, Math.round(evening / 6)),
        holdMs: HOLD_MS,
        buyers: Math.round(viewers * 0.8),
        withinMs: within,
        perBuyer: 2,
        early: 0.05,
        twice: 0.05,
        regret: 0.08,
      });
    }
  }

  async #marks(): Promise<void> {
    const { evening, within } = this.#flags;
    const acts: Array<readonly [name: string, at: number]> = [
      ['doors open', 0],
      ['sale 1', OPENINGS[0]],
      ['between sales', OPENINGS[0] + Math.max(0.06, (within + 1_000) / evening)],
      ['slow phones', SLOW_AT],
      ['sale 2', OPENINGS[1]],
      ['reconnect wave', WAVE_AT],
      ['talking', WAVE_AT + WAVE_OVER + BACK_MS / evening],
      ['sale 3', OPENINGS[2]],
      ['late evening', OPENINGS[2] + Math.max(0.06, (within + 1_000) / evening)],
    ];
    for (const [name, at] of acts.sort(([, a], [, b]) => a - b)) {
      const fromMs = this.#at(at);
      await this.#fleet.until(fromMs);
      this.#chronicle.phase(name, { fromMs, measured: true });
    }
  }
}

/** Chat that came, was announced as missed, or vanished: what readers were due. */
const due = (chronicle: Chronicle, nights: readonly Ended[]): number =>
  chronicle.count('delivered') + nights.reduce((sum, { evidence: { line } }) => sum + line.missed + line.chatGaps, 0);

function figuresOf(chronicle: Chronicle, nights: readonly Ended[]): Figure[] {
  const of = figuresOfRounds(nights);
  const whole = (
    name: string,
    unit: string,
    better: Figure['better'],
    about: string,
    value: number | undefined,
  ): Figure => figure(name, unit, better, [value ?? Number.NaN], about);
  const sales = nights[0]?.rushes ?? [];
  return [
    whole('chat delivered', '', 'neither', 'messages times readers', chronicle.count('delivered')),
    whole('chat delivery p50', 'ms', 'lower', 'from due to each reader', chronicle.latency('delivery')?.p50Ms),
    whole('chat delivery p99', 'ms', 'lower', 'from due to each reader', chronicle.latency('delivery')?.p99Ms),
    whole(
      'decision p99',
      'ms',
      'lower',
      'presses of all sales, from due to answered',
      chronicle.latency('decision')?.p99Ms,
    ),
    ...sales.map(({ sale }, i) =>
      of(
        `sale ${i + 1} all answered`,
        'ms',
        'lower',
        'from the first press that was due to the last answer',
        ({ rushes }) => {
          const own = rushes.find((one) => one.sale === sale);
          return own === undefined ? undefined : own.lastAnswerMs - own.firstDueMs;
        },
      ),
    ),
    whole('resume p99', 'ms', 'lower', 'of the wave, from due to welcome', chronicle.latency('resume')?.p99Ms),
    of(
      'orders',
      '',
      'neither',
      'holds that were paid',
      ({ evidence }) =>
        new Set(evidence.ends.filter(({ state }) => state === 'confirmed').map((end) => end.reservation)).size,
    ),
    of(
      'lapsed',
      '',
      'neither',
      'holds that nobody paid',
      ({ evidence }) =>
        new Set(evidence.ends.filter(({ state }) => state === 'expired').map((end) => end.reservation)).size,
    ),
  ];
}
