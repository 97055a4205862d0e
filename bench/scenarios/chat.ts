/** A room in which some viewers write: throughput, latency and cost of chat. */
import { LIMITS } from '../../src/limits.ts';
import type { OtherNodeParams } from '../generator/workloads/other-node.ts';
import type { ViewersSummary } from '../generator/workloads/viewers.ts';
import { checkThat } from '../verdict/check.ts';
import { commonLevels } from '../verdict/levels.ts';
import { figuresOver } from './figures.ts';
import { choice, count, FlagError, optionalCount } from './flags.ts';
import {
  type ChatRound,
  type ChatRun,
  checkWriters,
  connectionChecks,
  fillRoom,
  gapCheck,
  measureRounds,
  ratesFor,
  writersFor,
} from './full-room.ts';
import { charsFlag, joinRateFlag, viewersFlag, warmUpFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import { AHEAD_MS } from './scenario-run.ts';

const PER_USER = `${LIMITS.chatRatePerSecond} messages per second and user`;

const FLAGS = {
  viewers: viewersFlag(1_000),
  rate: count(200, 'chat messages per second of the whole room', { max: 1_000_000 }),
  writers: optionalCount(`viewers who alternate in writing (as many as ${PER_USER} require)`, { max: 2_000_000 }),
  source: choice(['room', 'node'], 'room', 'whether viewers write, or another node writes through Redis'),
  chars: charsFlag(48),
  arrivals: choice(['steady', 'poisson'], 'poisson', 'when messages are due'),
  joinRate: joinRateFlag(1_000),
  warmUp: warmUpFlag(3),
};

const TRAIL_MS = 1_500;
/** These measure the latency of every message; all viewers count messages. */
const MEASURING_VIEWERS = 50;
const SINCE_DUE = 'from the moment a message was due to its arrival at a viewer';

export const chat = defineLoad({
  name: 'chat',
  about: 'viewers times chat rate: deliveries per second, latency from the moment a message was due, bytes and CPU',
  flags: FLAGS,
  check(flags, { url, generators }) {
    if (flags.source === 'room') checkWriters(flags, url === null);
    else if (url !== null || generators > 0)
      throw new FlagError('--source node uses the Redis of an engine on this machine: omit --url and --generators');
  },
  start: (flags, { url }) => ({ env: ratesFor(flags.rate / writersFor(flags, url === null)) }),
  collect: (): ChatRun => ({ rounds: [], ends: [] }),
  async load(run, collected) {
    const { flags, common, fleet, target } = run;
    const { viewers, joinRate, rate: perSecond, arrivals, chars } = flags;
    const measureEvery = Math.max(1, Math.floor(viewers / MEASURING_VIEWERS));
    const { show, room } = await fillRoom(run, { label: 'chat', viewers, joinRate, measureEvery });
    const forMs = (flags.warmUp + common.rounds * common.seconds) * 1000;
    const talk = { perSecond, arrivals, forMs, chars };
    const redisUrl = flags.source === 'node' ? target.engine?.redis.url : undefined;
    const node = redisUrl && (await fleet.load<OtherNodeParams>('other-node', { redisUrl, show, chat: talk }));
    const chatMs = fleet.secondAfter(AHEAD_MS);
    run.phase('warm-up', { fromMs: chatMs });
    const writers = writersFor(flags, common.url === null);
    if (node) node.start(chatMs);
    else room.command({ do: 'chat', atMs: chatMs, plan: { ...talk, writers } });
    await measureRounds(run, collected.rounds, 'chat', chatMs + flags.warmUp * 1000);
    run.phase('trailing');
    await run.wait(TRAIL_MS);
    if (node) await node.stop();
    collected.ends = (await room.stop()) as ViewersSummary[];
  },
  report(run, { rounds, ends }) {
    const { viewers } = run.flags;
    const delivery = run.latency('delivery', ...rounds.map(({ stretch }) => stretch));
    const { higher, lower, neither } = figuresOver(rounds);
    const accepted = run.count('chat accepted');
    const [delivered, missed] = [run.count('delivered'), run.count('missed')];
    const frames = ({ stretch }: ChatRound): number => run.perSecond('frames', stretch) / viewers;
    const bytes = ({ stretch }: ChatRound): number => run.count('bytes', stretch) / run.count('delivered', stretch);
    const cpu = ({ stretch, cpuSeconds }: ChatRound): number => (cpuSeconds * 1e6) / run.count('delivered', stretch);
    const reachedAll = 'each accepted message reached each viewer, or was announced as missed';
    const due = `${accepted} accepted x ${viewers} viewers = ${accepted * viewers}`;
    const got = `${delivered} delivered + ${missed} announced as missed`;
    const checks = [
      ...connectionChecks(run, ends, viewers),
      gapCheck(ends, missed),
      checkThat(reachedAll, delivered + missed === accepted * viewers, `${due}; ${got}`),
    ];
    return {
      figures: [
        higher('messages accepted', '/s', run.rateOf('chat accepted'), 'got an ok'),
        higher('messages delivered', '/s', run.rateOf('delivered'), 'messages x viewers'),
        lower('delivery p50', 'ms', run.p50Of('delivery'), SINCE_DUE),
        lower('delivery p99', 'ms', run.p99Of('delivery'), SINCE_DUE),
        lower('reply p99', 'ms', run.p99Of('chat reply'), 'from due to the ok for the writer'),
        neither('frames per viewer', '/s', frames, 'WebSocket messages that each viewer receives'),
        lower('bytes per delivered message', 'bytes', bytes, 'payload, including everything else in the frames'),
        lower('server CPU per million delivered', 's', cpu, 'of the gateway process'),
      ],
      checks: ends.length === 0 ? [] : checks,
      levels: commonLevels(run.common, delivery),
      headline: delivery,
    };
  },
});
