/** Findings of a comparison: figures per server, ratios per round, and the targets of Stampede. */
import { median } from '../generator/median.ts';
import type { PeerMeasurement } from '../peers/session.ts';
import type { Check, Figure, Level } from '../report/result.ts';
import { checkThat } from '../verdict/check.ts';
import { atMost } from '../verdict/levels.ts';
import { figuresOver, runFigures } from './figures.ts';

export interface PeerRounds {
  readonly peer: string;
  /** One per round, in order; null if no rate held. */
  readonly best: Array<PeerMeasurement | null>;
  /** All steps, including overloads. */
  readonly probes: PeerMeasurement[];
  readonly idleBytes: number[];
}

const SUBJECT = 'stampede';
/** A process that computes more than this share of the time measures its own queue. */
const RECEIVERS_SHARE_MAX = 0.9;
const LATE_SHARE_MAX = 0.01;
/** Of one core, for processes that are not part of the comparison. */
export const OTHERS_SHARE_MAX = 0.2;

const valuesOf = ({ best }: PeerRounds, value: (step: PeerMeasurement) => number): number[] =>
  best.map((step) => (step === null ? Number.NaN : value(step)));

export const figuresOf = (all: readonly PeerRounds[]): Figure[] => [
  ...all.flatMap(peerFigures),
  ...ratiosOf(all).map(({ figure }) => figure),
];

function peerFigures({ peer, best, probes, idleBytes }: PeerRounds): Figure[] {
  const { higher, lower, neither } = figuresOver(best.flatMap((step) => step ?? []));
  const most = Math.max(0, ...probes.map(({ deliveredPerSecond }) => deliveredPerSecond));
  const atAnyLatency = 'the most of any step, at any latency';
  const full = runFigures.neither(`${peer} delivered/s when full`, '/s', () => most, atAnyLatency);
  const grown = 'growth of the server process';
  const idle = figuresOver(idleBytes).lower(`${peer} bytes per idle connection`, 'bytes', (bytes) => bytes, grown);
  const cores = 'CPU seconds per second of';
  return [
    higher(`${peer} delivered/s`, '/s', (step) => step.deliveredPerSecond, 'at the highest rate that held'),
    lower(`${peer} p99`, 'ms', ({ p99Ms }) => p99Ms, 'at that rate, from the moment a message was due'),
    lower(`${peer} CPU s per million`, 's', (step) => step.serverCpuPerMillion, 'of the server, per million delivered'),
    lower(`${peer} CPU s per million, with helpers`, 's', (step) => step.allCpuPerMillion, 'with its helpers'),
    neither(`${peer} messages per frame`, '', ({ messagesPerFrame }) => messagesPerFrame, 'in one WebSocket frame'),
    lower(`${peer} bytes per message`, 'bytes', (step) => step.bytesPerMessage, 'with frame headers; the text has 60'),
    neither(`${peer} server share`, 'cores', ({ serverShare }) => serverShare, `${cores} the server process`),
    neither(`${peer} receivers share`, 'cores', (step) => step.receiversShare, `${cores} the busiest receiver process`),
    neither(`${peer} others share`, 'cores', ({ othersShare }) => othersShare, `${cores} unrelated processes`),
    ...(most > 0 ? [full] : []),
    ...(idleBytes.length > 0 ? [idle] : []),
  ];
}

const TARGETS: Readonly<Record<string, number>> = {
  'stampede / bare-uws, delivered/s': 0.8,
  'stampede / nats, delivered/s': 4,
  'stampede / socketio, delivered/s': 100,
  'stampede / bare-uws, CPU': 1.5,
  'stampede / nats, CPU': 1 / 8,
};

/** One ratio per round: both sides ran within minutes. */
function ratiosOf(all: readonly PeerRounds[]) {
  const subject = all.find(({ peer }) => peer === SUBJECT);
  if (subject === undefined) return [];
  const ratio = (other: PeerRounds, of: 'delivered/s' | 'CPU') => {
    const value = (step: PeerMeasurement): number => step[of === 'CPU' ? 'serverCpuPerMillion' : 'deliveredPerSecond'];
    const others = valuesOf(other, value);
    const runs = valuesOf(subject, value).map((mine, i) => mine / (others[i] ?? Number.NaN));
    const name = `${SUBJECT} / ${other.peer}, ${of}`;
    const figures = figuresOver(runs);
    const figure =
      of === 'CPU'
        ? figures.lower(name, 'x', (run) => run, 'CPU per delivered message, server processes only')
        : figures.higher(name, 'x', (run) => run, 'highest rates that held, under the same bound of p99');
    return { figure, bound: TARGETS[name] };
  };
  const others = all.filter((other) => other !== subject);
  return others.flatMap((other) => [ratio(other, 'delivered/s'), ratio(other, 'CPU')]);
}

const DELIVERED_MIN = 8_000_000;
const P99_MS_MAX = 150;
const IDLE_BYTES_MAX = 3 * 1024;

/** Medians against the targets. A server that did not run has none. */
export function levelsOf(all: readonly PeerRounds[]): Level[] {
  const subject = all.find(({ peer }) => peer === SUBJECT);
  if (subject === undefined) return [];
  const delivered = median(valuesOf(subject, ({ deliveredPerSecond }) => deliveredPerSecond));
  const p99Ms = median(valuesOf(subject, (step) => step.p99Ms));
  const idle = median(subject.idleBytes);
  const ratios = ratiosOf(all).flatMap(({ figure: { name, better, runs }, bound }) => {
    if (bound === undefined) return [];
    const measured = median(runs);
    const shown = Number.isNaN(measured) ? 'no round in which both held' : `${measured.toFixed(3)} x`;
    const [sign, ok] = better === 'lower' ? ['<=', measured <= bound] : ['>=', measured >= bound];
    return [target(name, `${sign} ${bound} x`, shown, ok)];
  });
  const idleName = `target: ${SUBJECT} bytes per idle connection`;
  const idleLevel = atMost(idleName, IDLE_BYTES_MAX, idle, (bytes) => bytes.toFixed(0));
  const wanted = `>= ${millions(DELIVERED_MIN)} at p99 <= ${P99_MS_MAX} ms`;
  const shown = Number.isNaN(delivered) ? 'no rate held' : `${millions(delivered)} at ${p99Ms.toFixed(0)} ms`;
  return [
    target(`${SUBJECT} delivered/s`, wanted, shown, delivered >= DELIVERED_MIN && p99Ms <= P99_MS_MAX),
    ...ratios,
    ...(Number.isNaN(idle) ? [] : [idleLevel]),
  ];
}

const target = (name: string, wanted: string, measured: string, ok: boolean): Level => {
  return { flag: `target: ${name}`, wanted, measured, ok };
};
const millions = (value: number): string => `${(value / 1e6).toFixed(2)} M`;

/** Whether receivers and publisher kept up, and whether all messages arrived in order. */
export const checksOf = (all: readonly PeerRounds[]): Check[] =>
  all.flatMap(({ peer, best }) => {
    const held = best.filter((step) => step !== null);
    const worst = (value: (step: PeerMeasurement) => number): number => Math.max(0, ...held.map(value));
    const others = worst(({ othersShare }) => othersShare);
    const receivers = worst(({ receiversShare }) => receiversShare);
    const late = worst(({ lateShare }) => lateShare);
    const disorder = worst(({ outOfOrder }) => outOfOrder);
    const rounds = `${held.length} of ${best.length} rounds`;
    const cores = (used: number): string => `${used.toFixed(2)} of a core`;
    const check = (name: string, ok: boolean, detail: string): Check => checkThat(`${peer}: ${name}`, ok, detail);
    return [
      check('a rate held in every round', held.length === best.length, rounds),
      check('messages arrived in order', disorder === 0, `${disorder} messages after a later one`),
      check('the receivers kept up', receivers <= RECEIVERS_SHARE_MAX, `at most ${cores(receivers)}`),
      check('the machine was otherwise idle', !(others > OTHERS_SHARE_MAX), `others: at most ${cores(others)}`),
      check('the publisher was on time', late <= LATE_SHARE_MAX, `${(late * 100).toFixed(2)} % of messages left late`),
    ];
  });
