/** A room of viewers, some of whom write: how much chat gets through, how soon, and what it costs the server. */

import { LIMITS } from '../../src/protocol/limits.ts';
import type { Stretch } from '../generator/assemble.ts';
import type { AudienceCommand, AudienceParams, AudienceSummary } from '../generator/workloads/audience.ts';
import type { OtherNodeParams } from '../generator/workloads/other-node.ts';
import type { BenchResult, Check } from '../report/result.ts';
import { commonLevels } from '../verdict/levels.ts';
import { Chronicle } from './chronicle.ts';
import { figure } from './figures.ts';
import { choice, count, FlagError, optionalCount } from './flags.ts';
import { openRoom } from './room.ts';
import { defineScenario } from './scenario.ts';
import { cpuSecondsBetween } from './target.ts';

const FLAGS = {
  viewers: count(1_000, 'people in the room; all of them hear everything', { max: 2_000_000 }),
  rate: count(200, 'chat messages a second of the whole room', { max: 1_000_000 }),
  writers: optionalCount(
    `how many of them write, in turns (as many as ${LIMITS.chatRatePerSecond} a second and person need; an engine of its own lets fewer write faster)`,
    { max: 2_000_000 },
  ),
  source: choice(['room', 'node'], 'room', 'where chat comes from, people in the room or another node by way of Redis (an engine of its own only)'),
  chars: count(48, 'length of a message', { min: 16, max: LIMITS.chatTextCharsMax }),
  arrivals: choice(['steady', 'poisson'], 'poisson', 'when messages are due'),
  joinRate: count(1_000, 'how many come in a second', { max: 200_000 }),
  warmUp: count(3, 'seconds of chat before what is measured', { min: 1, max: 600 }),
};

/** A burst of independent writers stays below the limit of each of them: they are asked for two thirds of it. */
const PER_WRITER_PER_SECOND = (LIMITS.chatRatePerSecond * 2) / 3;
const AHEAD_MS = 300;
const JOIN_MS_MAX = 60_000;
/** What is still on its way when the last message was sent. */
const TRAIL_MS = 1_500;

const writersFor = ({ writers, rate, viewers }: { writers: number | null; rate: number; viewers: number }, ownEngine: boolean): number =>
  writers ?? Math.min(Math.ceil(rate / PER_WRITER_PER_SECOND), ownEngine ? viewers : Number.POSITIVE_INFINITY);

export const chat = defineScenario({
  name: 'chat',
  about: 'room size times message rate: deliveries a second, latency from the moment a message was due, bytes and CPU',
  flags: FLAGS,
  check(flags, common) {
    if (flags.source === 'node') {
      if (common.url !== null || common.generators > 0)
        throw new FlagError('--source node needs the Redis of an engine of its own, on this machine: without --url and --generators');
      return;
    }
    const writers = writersFor(flags, common.url === null);
    if (writers > flags.viewers)
      throw new FlagError(`${flags.rate} messages a second need ${writers} people who write, the room has ${flags.viewers}: raise --viewers or lower --rate`);
    if (common.url !== null && flags.rate / writers > LIMITS.chatRatePerSecond)
      throw new FlagError(
        `--writers ${writers} would each write ${(flags.rate / writers).toFixed(1)} a second; the engine allows ${LIMITS.chatRatePerSecond} unless it was set otherwise`,
      );
  },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    // Independent writers come in bursts: four times their mean and nobody is refused.
    const perWriter = flags.rate / writersFor(flags, common.url === null);
    const chatPerSecond = Math.max(LIMITS.chatRatePerSecond, Math.ceil(4 * perWriter));
    const target = await context.openTarget({
      env: { CHAT_PER_SECOND: String(chatPerSecond), REQUESTS_PER_SECOND: String(Math.max(LIMITS.requestRatePerSecond, 2 * chatPerSecond)) },
    });
    const fleet = await context.openFleet();
    const chronicle = new Chronicle(context, fleet, target);
    const rounds: Round[] = [];
    let ends: AudienceSummary[] = [];
    await chronicle.unlessStopped(async () => {
      chronicle.phase('preparing');
      const show = await openRoom(target, 'chat');
      const room = await fleet.load<AudienceParams, AudienceCommand>('audience', {
        gate: target.gate,
        show,
        access: await target.access(show, flags.viewers),
        role: 'viewer',
        variant: common.variant,
        people: flags.viewers,
        joinPerSecond: flags.joinRate,
        measureEvery: Math.max(1, Math.floor(flags.viewers / MEASURING_VIEWERS)),
      });
      const joinMs = fleet.secondAfter(AHEAD_MS);
      chronicle.phase('joining', { fromMs: joinMs });
      room.start(joinMs);
      await fleet.until(joinMs + (flags.viewers * 1000) / flags.joinRate);
      await fleet.when(`${flags.viewers} viewers to be let in`, () => chronicle.gauge('viewers') === flags.viewers, JOIN_MS_MAX);
      const forMs = (flags.warmUp + common.rounds * common.seconds) * 1000;
      const talk = { perSecond: flags.rate, arrivals: flags.arrivals, forMs, chars: flags.chars };
      const redisUrl = flags.source === 'node' ? target.engine?.redis.url : undefined;
      const node = redisUrl === undefined ? null : await fleet.load<OtherNodeParams>('other-node', { redisUrl, show, talk });
      const chatMs = fleet.secondAfter(AHEAD_MS);
      const measuredMs = chatMs + flags.warmUp * 1000;
      chronicle.phase('warm-up', { fromMs: chatMs });
      if (node === null) room.command({ do: 'chat', atMs: chatMs, plan: { ...talk, writers: writersFor(flags, common.url === null) } });
      else node.start(chatMs);
      await fleet.until(measuredMs);
      let before = await chronicle.readServer();
      for (let round = 0; round < common.rounds; round++) {
        const stretch = chronicle.phase(common.rounds === 1 ? 'chat' : `chat, round ${round + 1}`, {
          fromMs: measuredMs + round * common.seconds * 1000,
          forMs: common.seconds * 1000,
          measured: true,
        });
        const current: Round = { stretch, cpuSeconds: Number.NaN };
        rounds.push(current);
        await fleet.until(stretch.toMs);
        const after = await chronicle.readServer();
        current.cpuSeconds = cpuSecondsBetween('gateway', before, after);
        before = after;
      }
      chronicle.phase('trailing');
      await fleet.until(fleet.nowMs() + TRAIL_MS);
      await node?.stop();
      ends = (await room.stop()) as AudienceSummary[];
    });
    const delivery = chronicle.latency('delivery', ...rounds.map(({ stretch }) => stretch));
    return chronicle.finish({
      figures: figures(chronicle, rounds, flags.viewers),
      checks: ends.length === 0 ? [] : checks(chronicle, ends, flags.viewers),
      levels: commonLevels(common, delivery),
      headline: delivery,
    });
  },
});

/** So many measure the latency of every message; all count. */
const MEASURING_VIEWERS = 50;

interface Round {
  readonly stretch: Stretch;
  cpuSeconds: number;
}

function figures(chronicle: Chronicle, rounds: readonly Round[], viewers: number) {
  const each = (value: (round: Round) => number): number[] => rounds.map(value);
  const perSecond = (name: string) => each(({ stretch }) => chronicle.count(name, stretch) / ((stretch.toMs - stretch.fromMs) / 1000));
  const latency = (name: string, field: 'p50Ms' | 'p99Ms' | 'p999Ms') => each(({ stretch }) => chronicle.latency(name, stretch)?.[field] ?? Number.NaN);
  const per = (name: string, other: string) => each(({ stretch }) => chronicle.count(name, stretch) / chronicle.count(other, stretch));
  return [
    figure('messages accepted', '/s', 'higher', perSecond('chat accepted'), 'chat messages answered with ok'),
    figure('messages delivered', '/s', 'higher', perSecond('delivered'), 'chat messages times the viewers who got them'),
    figure('delivery p50', 'ms', 'lower', latency('delivery', 'p50Ms'), 'from the moment a message was due to a viewer having it'),
    figure('delivery p99', 'ms', 'lower', latency('delivery', 'p99Ms'), 'from the moment a message was due to a viewer having it'),
    figure('answer p99', 'ms', 'lower', latency('chat answer', 'p99Ms'), 'from the moment a message was due to the ok its writer gets'),
    figure(
      'frames a viewer',
      '/s',
      'neither',
      perSecond('frames').map((value) => value / viewers),
      'WebSocket messages each viewer gets',
    ),
    figure('bytes a delivered message', 'bytes', 'lower', per('bytes', 'delivered'), 'payload, what else the frames carry included'),
    figure(
      'server CPU a million delivered',
      's',
      'lower',
      each(({ stretch, cpuSeconds }) => (cpuSeconds * 1e6) / chronicle.count('delivered', stretch)),
      'of the gateway process',
    ),
  ];
}

function checks(chronicle: Chronicle, ends: readonly AudienceSummary[], viewers: number): Check[] {
  const sum = (of: (end: AudienceSummary) => number): number => ends.reduce((total, end) => total + of(end), 0);
  const accepted = chronicle.count('chat accepted');
  const [delivered, missed] = [chronicle.count('delivered'), chronicle.count('missed')];
  const gaps = { events: sum(({ eventGaps }) => eventGaps), chat: sum(({ chatGaps }) => chatGaps) };
  const [sent, unanswered, connected] = [chronicle.count('chat sent'), sum((end) => end.unanswered), sum((end) => end.connected)];
  return [
    { name: 'nobody lost the line', ok: connected === viewers, detail: `${connected} of ${viewers} were there until the end` },
    { name: 'each message was answered', promise: 'Q-5', ok: unanswered === 0, detail: `${sent} sent, ${accepted} accepted, ${unanswered} without an answer` },
    {
      name: 'events and chat without a silent gap',
      promise: 'I7',
      ok: gaps.events === 0 && gaps.chat === 0,
      detail: `missing and not announced: ${gaps.events} events, ${gaps.chat} chat messages`,
    },
    {
      name: 'each accepted message reached each viewer, or was announced as missed',
      ok: delivered + missed === accepted * viewers,
      detail: `${accepted} accepted x ${viewers} viewers = ${accepted * viewers}; ${delivered} delivered + ${missed} announced as missed`,
    },
  ];
}
