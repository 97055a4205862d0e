/**
 * A room of viewers, some of whom write: how much chat gets through, how soon, and what it costs
 * the server.
 */

import { LIMITS } from '../../src/limits.ts';
import type { OtherNodeParams } from '../generator/workloads/other-node.ts';
import type { AudienceSummary } from '../generator/workloads/viewers.ts';
import type { BenchResult, Check } from '../report/result.ts';
import { commonLevels } from '../verdict/levels.ts';
import { AHEAD_MS, type Chronicle, openRun } from './chronicle.ts';
import { figure } from './figures.ts';
import { choice, count, FlagError, optionalCount } from './flags.ts';
import {
  checkWriters,
  fillRoom,
  measureRounds,
  ratesFor,
  standingChecks,
  sumOf,
  type TalkRound,
  writersFor,
} from './full-room.ts';
import { defineScenario } from './scenario.ts';

const FLAGS = {
  viewers: count(1_000, 'people in the room; all of them hear everything', { max: 2_000_000 }),
  rate: count(200, 'chat messages a second of the whole room', { max: 1_000_000 }),
  writers: optionalCount(
    `how many of them write, in turns (as many as ${LIMITS.chatRatePerSecond} a second and person need; an engine of its own lets fewer write faster)`,
    { max: 2_000_000 },
  ),
  source: choice(
    ['room', 'node'],
    'room',
    'where chat comes from, people in the room or another node by way of Redis (an engine of its own only)',
  ),
  chars: count(48, 'length of a message', { min: 16, max: LIMITS.chatTextCharsMax }),
  arrivals: choice(['steady', 'poisson'], 'poisson', 'when messages are due'),
  joinRate: count(1_000, 'how many come in a second', { max: 200_000 }),
  warmUp: count(3, 'seconds of chat before what is measured', { min: 1, max: 600 }),
};

/** What is still on its way when the last message was sent. */
const TRAIL_MS = 1_500;

export const chat = defineScenario({
  name: 'chat',
  about: 'room size times message rate: deliveries a second, latency from the moment a message was due, bytes and CPU',
  flags: FLAGS,
  check(flags, common) {
    if (flags.source === 'node') {
      if (common.url !== null || common.generators > 0)
        throw new FlagError(
          '--source node needs the Redis of an engine of its own, on this machine: without --url and --generators',
        );
      return;
    }
    checkWriters(flags, common.url === null);
  },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const writers = writersFor(flags, common.url === null);
    const run = await openRun(context, { env: ratesFor(flags.rate / writers) });
    const { target, fleet, chronicle } = run;
    const rounds: TalkRound[] = [];
    let ends: AudienceSummary[] = [];
    await chronicle.unlessStopped(async () => {
      const { show, room } = await fillRoom(run, {
        label: 'chat',
        variant: common.variant,
        viewers: flags.viewers,
        joinRate: flags.joinRate,
        measureEvery: Math.max(1, Math.floor(flags.viewers / MEASURING_VIEWERS)),
      });
      const forMs = (flags.warmUp + common.rounds * common.seconds) * 1000;
      const talk = { perSecond: flags.rate, arrivals: flags.arrivals, forMs, chars: flags.chars };
      const redisUrl = flags.source === 'node' ? target.engine?.redis.url : undefined;
      const node =
        redisUrl === undefined ? null : await fleet.load<OtherNodeParams>('other-node', { redisUrl, show, talk });
      const chatMs = fleet.secondAfter(AHEAD_MS);
      const measuredMs = chatMs + flags.warmUp * 1000;
      chronicle.phase('warm-up', { fromMs: chatMs });
      if (node === null) room.command({ do: 'chat', atMs: chatMs, plan: { ...talk, writers } });
      else node.start(chatMs);
      await measureRounds(run, rounds, 'chat', measuredMs, common);
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

function figures(chronicle: Chronicle, rounds: readonly TalkRound[], viewers: number) {
  const each = (value: (round: TalkRound) => number): number[] => rounds.map(value);
  const perSecond = (name: string) =>
    each(({ stretch }) => chronicle.count(name, stretch) / ((stretch.toMs - stretch.fromMs) / 1000));
  const latency = (name: string, field: 'p50Ms' | 'p99Ms' | 'p999Ms') =>
    each(({ stretch }) => chronicle.latency(name, stretch)?.[field] ?? Number.NaN);
  const per = (name: string, other: string) =>
    each(({ stretch }) => chronicle.count(name, stretch) / chronicle.count(other, stretch));
  return [
    figure('messages accepted', '/s', 'higher', perSecond('chat accepted'), 'chat messages answered with ok'),
    figure(
      'messages delivered',
      '/s',
      'higher',
      perSecond('delivered'),
      'chat messages times the viewers who got them',
    ),
    figure(
      'delivery p50',
      'ms',
      'lower',
      latency('delivery', 'p50Ms'),
      'from the moment a message was due to a viewer having it',
    ),
    figure(
      'delivery p99',
      'ms',
      'lower',
      latency('delivery', 'p99Ms'),
      'from the moment a message was due to a viewer having it',
    ),
    figure(
      'answer p99',
      'ms',
      'lower',
      latency('chat answer', 'p99Ms'),
      'from the moment a message was due to the ok its writer gets',
    ),
    figure(
      'frames a viewer',
      '/s',
      'neither',
      perSecond('frames').map((value) => value / viewers),
      'WebSocket messages each viewer gets',
    ),
    figure(
      'bytes a delivered message',
      'bytes',
      'lower',
      per('bytes', 'delivered'),
      'payload, what else the frames carry included',
    ),
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
  const accepted = chronicle.count('chat accepted');
  const [delivered, missed] = [chronicle.count('delivered'), chronicle.count('missed')];
  const gaps = { events: sumOf(ends, ({ eventGaps }) => eventGaps), chat: sumOf(ends, ({ chatGaps }) => chatGaps) };
  const [unanswered, connected] = [sumOf(ends, (end) => end.unanswered), sumOf(ends, (end) => end.connected)];
  return [
    ...standingChecks(chronicle, connected, unanswered, viewers),
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
