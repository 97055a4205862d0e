/**
 * Stampede beside other servers on this machine, in turns: one room, one publisher, 60-byte
 * messages. For each, the highest rate that holds (nearly everything delivered, p99 under a bound),
 * what that costs in CPU, and what an idle connection costs in memory. The bare socket server sends
 * frames equal to those Stampede sent in the same round.
 */

import { latencyFrom } from '../generator/assemble.ts';
import type { Fleet } from '../generator/contract.ts';
import { PEERS } from '../peers/index.ts';
import type { Peer, PeerOptions } from '../peers/peer.ts';
import { findSustained } from '../peers/search.ts';
import { type Bounds, PeerSession, type Stretch } from '../peers/session.ts';
import type { BenchResult, Latency } from '../report/result.ts';
import { share } from '../verdict/levels.ts';
import { Chronicle } from './chronicle.ts';
import { checksOf, figuresOf, levelsOf, OTHERS_SHARE_MAX, type PeerRounds } from './compare-findings.ts';
import { count, duration, FlagError, text } from './flags.ts';
import { defineScenario, type ScenarioContext } from './scenario.ts';
import type { ServerReading, Target } from './target.ts';

const FLAGS = {
  peers: text(
    'all',
    `which: ${PEERS.map(({ name }) => name).join(', ')}, or some of them with commas between`,
    'NAMES',
  ),
  viewers: count(1_000, 'subscribers in the room', { max: 15_000 }),
  bound: duration(150, 'a rate holds when the 99th percentile, from the moment a message was due, is not above this'),
  delivered: share(0.99, 'and at least this share of all messages came before the bound'),
  idle: count(10_000, 'idle connections for the memory of one; 0 leaves it out', { min: 0, max: 15_000 }),
  probe: duration(1_500, 'length of each step of the search'),
};

/** What the bare server sends where Stampede did not run before it. */
const FRAMES_UNTOLD: PeerOptions = { messagesPerFrame: 80, bytesPerMessage: 76 };
const MESSAGES_PER_FRAME_MAX = 1_000;
/** Of a step that other processes of the machine disturbed. */
const ATTEMPTS_MAX = 4;

export const compare = defineScenario({
  name: 'compare',
  about:
    'Stampede beside a bare uWebSockets.js, NATS, Nchan, ws and Socket.IO in one run: delivered a second, p99, CPU, memory, and the ratios',
  flags: FLAGS,
  defaults: { seconds: 5, rounds: 3 },
  check({ peers }, { generators, url }) {
    choose(peers);
    if (generators > 0)
      throw new FlagError('--generators: a comparison runs on one machine, whose clock all processes share');
    if (url !== null) throw new FlagError('--url: a comparison starts all servers itself');
  },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const notes = [
      'Stampede lets its one publisher write for the whole room: the limits of a single person are lifted, all checks run.',
    ];
    const present = await installed(choose(flags.peers), notes);
    const fleet = await context.openFleet();
    const standing: Standing = { session: null };
    const chronicle = new Chronicle(context, fleet, targetOf(standing));
    const rounds = new Map<Peer, PeerRounds>(
      present.map((peer) => [peer, { peer: peer.name, best: [], probes: [], idleBytes: [] }]),
    );
    await chronicle.unlessStopped(async () => {
      for (let round = 1; round <= common.rounds; round++) {
        let frames = FRAMES_UNTOLD;
        for (const [peer, found] of rounds) {
          const stretch = await runPeer({ context, fleet, chronicle, standing, peer, found, frames, round }).catch(
            (error: unknown) => {
              if (context.signal.aborted) throw error;
              notes.push(`${peer.name}, round ${round}: ${error instanceof Error ? error.message : String(error)}`);
              return null;
            },
          );
          found.best.push(stretch);
          if (peer.name === 'stampede' && stretch !== null) frames = equalFrames(stretch);
        }
      }
    });
    const all = [...rounds.values()];
    const latencies = all.flatMap(latencyOf);
    const result = chronicle.finish({
      figures: figuresOf(all),
      checks: checksOf(all),
      levels: levelsOf(all),
      headline: latencies.find(({ name }) => name === 'stampede') ?? latencies[0],
      notes,
    });
    return { ...result, latencies };
  },
});

/** Whichever runs right now: its processes are what is plotted. */
interface Standing {
  session: PeerSession | null;
}

interface PeerRun {
  readonly context: ScenarioContext<typeof FLAGS>;
  readonly fleet: Fleet;
  readonly chronicle: Chronicle;
  readonly standing: Standing;
  readonly peer: Peer;
  readonly found: PeerRounds;
  readonly frames: PeerOptions;
  readonly round: number;
}

/** One server, one round; null when no rate held. */
async function runPeer({
  context,
  fleet,
  chronicle,
  standing,
  peer,
  found,
  frames,
  round,
}: PeerRun): Promise<Stretch | null> {
  const { flags, common, signal } = context;
  const bounds: Bounds = { p99Ms: flags.bound, deliveredShare: flags.delivered };
  const open = async (): Promise<PeerSession> => {
    const session = await PeerSession.open(fleet, peer, frames, flags.viewers);
    standing.session = session;
    return session;
  };
  const close = async (): Promise<void> => {
    const { session } = standing;
    standing.session = null;
    await session?.close();
  };
  chronicle.phase(`${peer.name}: idle`);
  try {
    // What a connection takes is not a matter of the hour: once is enough.
    if (flags.idle > 0 && round === 1) {
      found.idleBytes.push(await (await open()).idleBytes(flags.idle, signal));
      await close();
    }
    let session = await open();
    await session.fillRoom();
    const look = async (perSecond: number, forMs: number, measured: boolean): Promise<Stretch> => {
      for (let attempt = 1; ; attempt++) {
        signal.throwIfAborted();
        chronicle.phase(`${peer.name}: ${measured ? 'measured' : 'search'}`, { measured });
        const stretch = await session.measure(perSecond, forMs, bounds);
        context.display.line(lineOf(peer, round, stretch));
        found.probes.push(stretch);
        if (stretch.lost > 0) {
          // Those it threw out are gone for good: the next step begins with a new one.
          await close();
          session = await open();
          await session.fillRoom();
        }
        // The machine did something else meanwhile: that is not what is compared.
        if (stretch.held || attempt === ATTEMPTS_MAX || !(stretch.othersShare > OTHERS_SHARE_MAX)) return stretch;
      }
    };
    const before = found.best.findLast((best) => best !== null)?.perSecond;
    const { best } = await findSustained({
      startPerSecond: before === undefined ? peer.startPerSecond : before / 2,
      probe: (perSecond) => look(perSecond, flags.probe, false),
      confirm: (perSecond) => look(perSecond, common.seconds * 1000, true),
    });
    return best;
  } finally {
    await close();
  }
}

const lineOf = (
  { name }: Peer,
  round: number,
  {
    perSecond,
    held,
    deliveredPerSecond,
    deliveredShare,
    p99Ms,
    serverShare,
    receiversShare,
    publisherShare,
    othersShare,
    messagesPerFrame,
  }: Stretch,
): string =>
  `  ${`${name}, round ${round}`.padEnd(20)} ${`${perSecond.toLocaleString('en')}/s`.padStart(9)}: ${(deliveredPerSecond / 1e6).toFixed(3)} M delivered/s (${(deliveredShare * 100).toFixed(1)} %), p99 ${p99Ms.toFixed(0)} ms, ` +
  `${messagesPerFrame.toFixed(1)} a frame, cores: server ${serverShare.toFixed(2)}, receivers ${receiversShare.toFixed(2)}, publisher ${publisherShare.toFixed(2)}, others ${othersShare.toFixed(2)} ${held ? '' : '(not held)'}`;

function choose(names: string): Peer[] {
  if (names === 'all') return [...PEERS];
  const wanted = names.split(',').map((name) => name.trim());
  const unknown = wanted.filter((name) => !PEERS.some((peer) => peer.name === name));
  if (unknown.length > 0)
    throw new FlagError(
      `--peers: there is no ${unknown.join(', ')}; known are ${PEERS.map(({ name }) => name).join(', ')}`,
    );
  return PEERS.filter(({ name }) => wanted.includes(name));
}

async function installed(peers: readonly Peer[], notes: string[]): Promise<Peer[]> {
  const present: Peer[] = [];
  for (const peer of peers) {
    const why = await peer.missing();
    if (why === null) present.push(peer);
    else notes.push(`${peer.name} is switched off: ${why}.`);
  }
  return present;
}

const equalFrames = ({ messagesPerFrame, bytesPerMessage }: Stretch): PeerOptions => ({
  messagesPerFrame: Math.min(MESSAGES_PER_FRAME_MAX, Math.max(1, Math.round(messagesPerFrame))),
  bytesPerMessage: Math.round(bytesPerMessage),
});

/** The distribution at the best rate, all rounds added up. */
function latencyOf({ peer, best }: PeerRounds): Latency[] {
  const latency = latencyFrom(
    peer,
    best.flatMap((stretch) => stretch?.latency?.histogram ?? []),
  );
  return latency === undefined ? [] : [latency];
}

/** There is no one server in a comparison; the chronicle plots whichever stands. */
function targetOf(standing: Standing): Target {
  return {
    url: 'several, one after the other',
    own: true,
    gate: { host: '127.0.0.1', port: 0, pathPrefix: '' },
    office: null,
    engine: null,
    access: async () => ({ kind: 'guest' }),
    read: async (): Promise<ServerReading | null> => standing.session?.read() ?? null,
    stop: async () => {},
  };
}
