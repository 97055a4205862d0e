/**
 * One hostile buyer with hundreds of sockets: what is left in Redis, and the effect on others. The
 * attacker takes the processor of this machine, too. So each round attacks this node and another
 * one, which is without viewers: the difference is what the engine lets a stranger do to others.
 */
import type { Stretch } from '../generator/assemble.ts';
import { median } from '../generator/median.ts';
import type { ViewersSummary } from '../generator/workloads/viewers.ts';
import { type AttackCounts, startHostileBuyer } from '../hostile/hostile-buyer.ts';
import { commonLevels, mostLevel, share } from '../verdict/levels.ts';
import { figuresOver } from './figures.ts';
import { count } from './flags.ts';
import { checkWriters, connectionChecks, fillRoom, gapCheck, ratesFor } from './full-room.ts';
import { charsFlag, joinRateFlag, viewersFlag, warmUpFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import { AHEAD_MS, type Run } from './scenario-run.ts';
import { cpuSecondsBetween } from './target.ts';

const FLAGS = {
  viewers: viewersFlag(300, 4),
  rate: count(100, 'chat messages per second of the honest viewers', { max: 100_000 }),
  writers: count(50, 'honest viewers who alternate in writing them', { max: 2_000_000 }),
  chars: charsFlag(48),
  joinRate: joinRateFlag(500),
  warmUp: warmUpFlag(3),
  sockets: count(500, 'sockets of the hostile buyer', { max: 10_000 }),
  frames: count(2_000, 'messages per second of the hostile buyer', { max: 1_000_000 }),
  othersShare: share(0.1, 'fail if a p99 of the others grows by more than this (median of the rounds)'),
  leftKib: count(1_024, 'fail if a minute of the attack leaves more KiB in Redis'),
};

const TRAIL_MS = 1_500;
const RECOVER_MS = 2_000;
const MINUTE_MS = 60_000;
const MEASURING_VIEWERS = 100;
const HOSTILE = 'hostile';
const SALE = 'hot';
const SKU = 'S';

type Memory = ReadonlyMap<string, number>;
interface Phase {
  readonly stretch: Stretch;
  readonly keys: Memory;
  readonly usedBytes: number;
  readonly cpuSeconds: number;
}
/** The same attack on this node, and on another node of this machine, which shows its cost. */
interface Round {
  readonly quiet: Phase;
  readonly attacked: Phase;
  readonly elsewhere: Phase;
  readonly counts: AttackCounts;
}
type HostileRun = Run<typeof FLAGS>;

export const hostile = defineLoad({
  name: 'hostile',
  about: 'one hostile buyer with 500 sockets, on this and another node by turns: p99 of the others, growth of Redis',
  flags: FLAGS,
  defaults: { seconds: 15, rounds: 4 },
  check: (flags, { url }) => checkWriters(flags, url === null),
  start: ({ rate, writers }) => ({ env: rate / writers > 2 ? ratesFor(rate / writers) : {}, spare: true }),
  collect: () => ({ first: null as Round | null, rounds: [] as Round[], ends: [] as ViewersSummary[] }),
  async load(run, collected) {
    const { flags, common, fleet, target } = run;
    const { viewers, joinRate, writers, chars, rate: perSecond, sockets, frames: framesPerSecond } = flags;
    const { engine, gateway } = target;
    if (!engine?.spare) throw new Error('this scenario needs an engine of its run');
    const measureEvery = Math.max(1, Math.floor(viewers / MEASURING_VIEWERS));
    const { show, room } = await fillRoom(run, { label: 'hostile', viewers, joinRate, measureEvery });
    await openSale(run, show);
    const { host } = gateway;
    const ports = { here: gateway.port, elsewhere: engine.spare.port };
    const token = engine.token(show, HOSTILE);
    const buyer = startHostileBuyer({ host, show, sale: SALE, sku: SKU, token, sockets, framesPerSecond });
    const phaseMs = common.seconds * 1000;
    const chatMs = fleet.secondAfter(AHEAD_MS);
    run.phase('warm-up', { fromMs: chatMs });
    const forMs = flags.warmUp * 1000 + (1 + common.rounds) * (3 * phaseMs + 2 * RECOVER_MS + 3_000);
    room.command({ do: 'chat', atMs: chatMs, plan: { perSecond, arrivals: 'poisson', forMs, chars, writers } });
    await fleet.until(chatMs + flags.warmUp * 1000);
    const measure = async (name: string): Promise<Phase> => {
      const fromMs = fleet.secondAfter(0);
      await fleet.until(fromMs);
      const stretch = run.phase(name, { fromMs, forMs: phaseMs, measured: true });
      const [before, used, server] = [await keysOf(run, show), await usedBytes(run), await run.readServer()];
      await fleet.until(stretch.toMs);
      const [after, usedAfter] = [await keysOf(run, show), await usedBytes(run)];
      const keys = new Map([...after].map(([key, bytes]) => [key, bytes - (before.get(key) ?? 0)]));
      const cpuSeconds = cpuSecondsBetween('gateway', server, await run.readServer());
      return { stretch, keys, usedBytes: usedAfter - used, cpuSeconds };
    };
    let total: AttackCounts = { frames: 0, upgrades: 0, bytesReceived: 0, cpuSeconds: 0 };
    const attacked = async (name: string, port: number): Promise<{ phase: Phase; counts: AttackCounts }> => {
      buyer.attack(port);
      const phase = await measure(name);
      const before = total;
      total = await buyer.pause();
      run.phase('recovering');
      await run.wait(RECOVER_MS);
      return { phase, counts: differenceOf(total, before) };
    };
    try {
      // In the first attack the gateways compile code that has never run.
      for (let round = 0; round <= common.rounds; round++) {
        const name = round === 0 ? 'first attack' : `round ${round}`;
        const quiet = await measure(`quiet, ${name}`);
        const here = () => attacked(`attacked, ${name}`, ports.here);
        const there = () => attacked(`another node attacked, ${name}`, ports.elsewhere);
        // By turns, so that a drift of the machine does not favor one.
        const first = round % 2 === 0 ? await here() : null;
        const elsewhere = await there();
        const { phase, counts } = first ?? (await here());
        const measured = { quiet, attacked: phase, elsewhere: elsewhere.phase, counts };
        if (round === 0) collected.first = measured;
        else collected.rounds.push(measured);
      }
    } finally {
      buyer.stop();
    }
    run.phase('trailing');
    await fleet.until(Math.max(fleet.nowMs(), chatMs + forMs) + TRAIL_MS);
    collected.ends = (await room.stop()) as ViewersSummary[];
  },
  report(run, { first, rounds, ends }) {
    const { flags, common } = run;
    const ratioOf =
      (name: string, attacked: 'attacked' | 'elsewhere' = 'attacked', than: 'elsewhere' | 'quiet' = 'elsewhere') =>
      (round: Round) =>
        (run.p99Of(name)(round[attacked]) ?? Number.NaN) / (run.p99Of(name)(round[than]) ?? Number.NaN);
    const perMinute = MINUTE_MS / (common.seconds * 1000);
    const kib = (bytes: number): number => (bytes * perMinute) / 1024;
    const left = (round: Round): number => kib(sum(round.attacked.keys) - sum(round.quiet.keys));
    const names = new Set(rounds.flatMap(({ attacked }) => [...attacked.keys.keys()]));
    const { lower, neither } = figuresOver(rounds);
    const grown = [...names].flatMap((name) => {
      const of = (round: Round): number =>
        kib((round.attacked.keys.get(name) ?? 0) - (round.quiet.keys.get(name) ?? 0));
      return median(rounds.map(of)) < 1 ? [] : [neither(`left in "${name}" per minute`, 'KiB', of, 'as above')];
    });
    const cpu = ({ quiet, attacked }: Round): number =>
      ((attacked.cpuSeconds - quiet.cpuSeconds) * 100) / common.seconds;
    const percent = (value: number): string => `${value < 0 ? '' : '+'}${(value * 100).toFixed(1)} %`;
    const worst = Math.max(...['delivery', 'chat reply'].map((name) => median(rounds.map(ratioOf(name)))));
    const rate = (of: (counts: AttackCounts) => number) => (round: Round) => of(round.counts) / common.seconds;
    const against = 'against the same attack on another node of this machine';
    const machine = 'another node attacked, against none';
    const others = run.latency('delivery', ...rounds.map(({ attacked }) => attacked.stretch));
    return {
      figures: [
        lower('delivery p99, attacked', 'x', ratioOf('delivery'), `from due to viewers; ${against}`),
        lower('reply p99, attacked', 'x', ratioOf('chat reply'), `from due to the ok; ${against}`),
        neither('delivery p99, cost of the machine', 'x', ratioOf('delivery', 'elsewhere', 'quiet'), machine),
        neither('reply p99, cost of the machine', 'x', ratioOf('chat reply', 'elsewhere', 'quiet'), machine),
        ...(first === null
          ? []
          : [figuresOver([first]).lower('delivery p99, first attack', 'x', ratioOf('delivery'), 'not in the median')]),
        lower('delivery p99, quiet', 'ms', ({ quiet }) => run.p99Of('delivery')(quiet), 'from due to viewers'),
        lower('reply p99, quiet', 'ms', ({ quiet }) => run.p99Of('chat reply')(quiet), 'from due to the ok'),
        lower('left in Redis per minute', 'KiB', left, 'growth of all keys of the show beyond the quiet phase'),
        ...grown,
        neither(
          'used_memory per minute',
          'KiB',
          (round) => kib(round.attacked.usedBytes - round.quiet.usedBytes),
          'same',
        ),
        lower('gateway CPU of the attack', '%', cpu, 'of a core, beyond the quiet phase'),
        neither(
          'attack: messages',
          '/s',
          rate(({ frames }) => frames),
          'of all kinds, on open sockets',
        ),
        neither(
          'attack: upgrades',
          '/s',
          rate(({ upgrades }) => upgrades),
          'of its show, and of unknown ones',
        ),
        neither(
          'attack: received',
          'KiB/s',
          rate(({ bytesReceived }) => bytesReceived / 1024),
          'on all sockets',
        ),
        neither(
          'attack: CPU',
          '%',
          rate(({ cpuSeconds }) => cpuSeconds * 100),
          'of a core: taken from this machine',
        ),
      ],
      checks:
        ends.length === 0 ? [] : [...connectionChecks(run, ends, flags.viewers), gapCheck(ends, run.count('missed'))],
      levels: [
        ...mostLevel('othersShare', flags.othersShare, worst - 1, percent),
        ...mostLevel('leftKib', flags.leftKib, median(rounds.map(left)), (value) => `${value.toFixed(0)} KiB`),
        ...commonLevels(common, others),
      ],
      headline: others,
    };
  },
});

const sum = (memory: Memory): number => [...memory.values()].reduce((total, bytes) => total + bytes, 0);

const differenceOf = (after: AttackCounts, before: AttackCounts): AttackCounts => ({
  frames: after.frames - before.frames,
  upgrades: after.upgrades - before.upgrades,
  bytesReceived: after.bytesReceived - before.bytesReceived,
  cpuSeconds: after.cpuSeconds - before.cpuSeconds,
});

/** A sale that the hostile buyer can fill with holds, up to the limit per buyer. */
async function openSale({ target }: HostileRun, show: string): Promise<void> {
  const { office } = target;
  if (office === null) throw new Error('this scenario needs the control API');
  await office.putProduct(show, { id: 'tee', brand: 'brand', title: 'Tee', skus: [{ sku: SKU, title: SKU }] });
  const skus = [{ sku: SKU, product: 'tee', price: 1_000, quantity: 1_000 }];
  const window = { opensInMs: 0, durationMs: 3_600_000 };
  await office.createSale(
    show,
    { id: SALE, title: 'Hot', currency: 'EUR', perBuyer: 2, holdMs: 60_000, ...window, skus },
    SALE,
  );
}

/** Bytes of each key of the show, by its name without prefix and show. */
async function keysOf({ target }: HostileRun, show: string): Promise<Memory> {
  const admin = target.engine?.redis.admin;
  const keys = (await admin?.keys(`*{${show}}:*`)) ?? [];
  const sizes = await Promise.all(keys.map(async (key) => (await admin?.memory('USAGE', key, 'SAMPLES', 0)) ?? 0));
  return new Map(keys.map((key, i) => [key.slice(key.indexOf('}:') + 2), sizes[i] ?? 0]));
}

const usedBytes = async ({ target }: HostileRun): Promise<number> =>
  Number(/used_memory:(\d+)/.exec((await target.engine?.redis.admin.info('memory')) ?? '')?.[1]);
