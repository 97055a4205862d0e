/**
 * Stampede and other servers on one machine, alternating: one room, one publisher, 60 bytes per
 * message. Measures the highest rate that holds (nearly everything delivered, p99 under a bound),
 * CPU, and the memory of an idle connection. The bare socket server sends frames of the size that
 * Stampede sent in the same round.
 */
import { latencyFrom } from '../generator/assemble.ts';
import { PEERS } from '../peers/index.ts';
import type { Peer, PeerOptions } from '../peers/peer.ts';
import { findSustained } from '../peers/search.ts';
import { type Bounds, type PeerMeasurement, PeerSession } from '../peers/session.ts';
import type { BenchResult, Latency } from '../report/result.ts';
import { share } from '../verdict/levels.ts';
import { checksOf, figuresOf, levelsOf, OTHERS_SHARE_MAX, type PeerRounds } from './compare-findings.ts';
import { count, duration, FlagError, text } from './flags.ts';
import { defineScenario } from './scenario.ts';
import { Run } from './scenario-run.ts';
import type { Target } from './target.ts';

const NAMES = PEERS.map(({ name }) => name).join(', ');

const FLAGS = {
  peers: text('all', `which servers, separated by commas: ${NAMES}`, 'NAMES'),
  viewers: count(1_000, 'subscribers in the room', { max: 15_000 }),
  bound: duration(150, 'a rate holds if the 99th percentile, from the moment a message was due, is at most this'),
  delivered: share(0.99, 'and if at least this share of all messages arrived before the bound'),
  idle: count(10_000, 'idle connections for the memory per connection; 0 omits it', { min: 0, max: 15_000 }),
  probe: duration(1_500, 'length of each step of the search'),
};

/** Frames of the bare server if Stampede did not run before it. */
const DEFAULT_FRAMES: PeerOptions = { messagesPerFrame: 80, bytesPerMessage: 76 };
const MESSAGES_PER_FRAME_MAX = 1_000;
/** Attempts of a step while other processes use the machine. */
const ATTEMPTS_MAX = 4;

export const compare = defineScenario({
  name: 'compare',
  about: 'Stampede, bare uWebSockets.js, NATS, Nchan, ws and Socket.IO: delivered per second, p99, CPU, memory, ratios',
  flags: FLAGS,
  defaults: { seconds: 5, rounds: 3 },
  check({ peers }, { generators, url }) {
    choose(peers);
    if (generators > 0) throw new FlagError('--generators: a comparison runs on one machine with one clock');
    if (url !== null) throw new FlagError('--url: a comparison starts all servers itself');
  },
  async run(context): Promise<BenchResult> {
    const { flags, common, signal } = context;
    const notes = ['The publisher of Stampede writes for the whole room: limits per user are lifted, all checks run.'];
    const present = await installed(choose(flags.peers), notes);
    const current: Current = { session: null };
    const run = new Run(context, targetOf(current), await context.openFleet());
    const rounds = new Map<Peer, PeerRounds>(
      present.map((peer) => [peer, { peer: peer.name, best: [], probes: [], idleBytes: [] }]),
    );
    await run.unlessStopped(async () => {
      for (let round = 1; round <= common.rounds; round++) {
        let frames = DEFAULT_FRAMES;
        for (const [peer, found] of rounds) {
          const best = await runPeer({ run, current, peer, found, frames, round }).catch((error: unknown) => {
            if (signal.aborted) throw error;
            notes.push(`${peer.name}, round ${round}: ${error instanceof Error ? error.message : String(error)}`);
            return null;
          });
          found.best.push(best);
          if (peer.name === 'stampede' && best !== null) frames = equalFrames(best);
        }
      }
    });
    const all = [...rounds.values()];
    const latencies = all.flatMap(latencyOf);
    const headline = latencies.find(({ name }) => name === 'stampede') ?? latencies[0];
    const findings = { figures: figuresOf(all), checks: checksOf(all), levels: levelsOf(all) };
    return { ...run.finish({ ...findings, headline, notes }), latencies };
  },
});

/** The running server; its processes are plotted. */
type Current = { session: PeerSession | null };
type CompareRun = Run<typeof FLAGS>;
type PeerRun = { run: CompareRun; current: Current; peer: Peer; found: PeerRounds; frames: PeerOptions; round: number };

/** Runs one server for one round. Returns null if no rate held. */
async function runPeer({ run, current, peer, found, frames, round }: PeerRun): Promise<PeerMeasurement | null> {
  const { flags, common, fleet, context } = run;
  const bounds: Bounds = { p99Ms: flags.bound, deliveredShare: flags.delivered };
  const open = async (): Promise<PeerSession> => {
    current.session = new PeerSession(fleet, peer, await peer.start(frames), flags.viewers);
    return current.session;
  };
  const close = async (): Promise<void> => {
    const { session } = current;
    current.session = null;
    await session?.close();
  };
  run.phase(`${peer.name}: idle`);
  try {
    // Memory per connection does not depend on the round: once is enough.
    if (flags.idle > 0 && round === 1) {
      found.idleBytes.push(await (await open()).idleBytes(flags.idle, context.signal));
      await close();
    }
    let session = await open();
    await session.fillRoom();
    const measure = async (perSecond: number, forMs: number, measured: boolean): Promise<PeerMeasurement> => {
      for (let attempt = 1; ; attempt++) {
        context.signal.throwIfAborted();
        run.phase(`${peer.name}: ${measured ? 'measured' : 'search'}`, { measured });
        const step = await session.measure(perSecond, forMs, bounds);
        context.display.line(lineOf(peer, round, step));
        found.probes.push(step);
        if (step.lost > 0) {
          // Closed subscribers do not return: the next step needs a new server.
          await close();
          session = await open();
          await session.fillRoom();
        }
        // Repeats the step if other processes used the machine.
        if (step.held || attempt === ATTEMPTS_MAX || !(step.othersShare > OTHERS_SHARE_MAX)) return step;
      }
    };
    const before = found.best.findLast((best) => best !== null)?.perSecond;
    const { best } = await findSustained({
      startPerSecond: before === undefined ? peer.startPerSecond : before / 2,
      probe: (perSecond) => measure(perSecond, flags.probe, false),
      confirm: (perSecond) => measure(perSecond, common.seconds * 1000, true),
    });
    return best;
  } finally {
    await close();
  }
}

function lineOf({ name }: Peer, round: number, step: PeerMeasurement): string {
  const { serverShare, receiversShare, publisherShare, othersShare } = step;
  const shares = { server: serverShare, receivers: receiversShare, publisher: publisherShare, others: othersShare };
  const cores = Object.entries(shares).map(([name, used]) => `${name} ${used.toFixed(2)}`);
  return (
    `  ${`${name}, round ${round}`.padEnd(20)} ${`${step.perSecond.toLocaleString('en')}/s`.padStart(9)}: ` +
    `${(step.deliveredPerSecond / 1e6).toFixed(3)} M delivered/s (${(step.deliveredShare * 100).toFixed(1)} %), ` +
    `p99 ${step.p99Ms.toFixed(0)} ms, ${step.messagesPerFrame.toFixed(1)} per frame, ` +
    `cores: ${cores.join(', ')}${step.held ? '' : ' (not held)'}`
  );
}

function choose(names: string): Peer[] {
  if (names === 'all') return [...PEERS];
  const wanted = names.split(',').map((name) => name.trim());
  const unknown = wanted.filter((name) => !PEERS.some((peer) => peer.name === name));
  if (unknown.length > 0) throw new FlagError(`--peers: unknown server ${unknown.join(', ')}; known are ${NAMES}`);
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

const equalFrames = ({ messagesPerFrame, bytesPerMessage }: PeerMeasurement): PeerOptions => ({
  messagesPerFrame: Math.min(MESSAGES_PER_FRAME_MAX, Math.max(1, Math.round(messagesPerFrame))),
  bytesPerMessage: Math.round(bytesPerMessage),
});

/** The distribution at the best rate, over all rounds. */
function latencyOf({ peer, best }: PeerRounds): Latency[] {
  const histograms = best.flatMap((step) => step?.latency?.histogram ?? []);
  const latency = latencyFrom(peer, histograms);
  return latency === undefined ? [] : [latency];
}

/** A comparison has no single target; the running server is plotted. */
const targetOf = (current: Current): Target => ({
  url: 'several servers, one after the other',
  own: true,
  gateway: { host: '127.0.0.1', port: 0, pathPrefix: '' },
  office: null,
  engine: null,
  access: async () => ({ kind: 'guest' }),
  read: async () => current.session?.read() ?? null,
  scrape: async () => '',
  stop: async () => {},
});
