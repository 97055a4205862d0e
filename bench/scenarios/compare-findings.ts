/**
 * What the rounds of a comparison come to: figures a server, ratios of one round each, and the
 * targets Stampede is built for.
 */

import { median } from '../generator/median.ts';
import type { Stretch } from '../peers/session.ts';
import type { Check, Figure, Level } from '../report/result.ts';
import { figure } from './figures.ts';

export interface PeerRounds {
  readonly peer: string;
  /** One a round, in order; null where nothing held. */
  readonly best: Array<Stretch | null>;
  /** Everything that was looked at, overloads included. */
  readonly probes: Stretch[];
  readonly idleBytes: number[];
}

const SUBJECT = 'stampede';
/** As in `assemble.ts`: a process that computes more than this measures its own queue. */
const RECEIVERS_SHARE_MAX = 0.9;
const LATE_SHARE_MAX = 0.01;
/** Of one core; a machine that does something else at the same time measures that too. */
export const OTHERS_SHARE_MAX = 0.2;

const valuesOf = ({ best }: PeerRounds, value: (stretch: Stretch) => number): number[] =>
  best.map((stretch) => (stretch === null ? Number.NaN : value(stretch)));

export function figuresOf(all: readonly PeerRounds[]): Figure[] {
  return [
    ...all.flatMap(peerFigures),
    ...ratiosOf(all).map(({ name, better, about, runs }) => figure(name, 'x', better, runs, about)),
  ];
}

function peerFigures(rounds: PeerRounds): Figure[] {
  const { peer, probes, idleBytes } = rounds;
  const each = (value: (stretch: Stretch) => number): number[] => valuesOf(rounds, value);
  const most = probes.reduce((largest, { deliveredPerSecond }) => Math.max(largest, deliveredPerSecond), 0);
  return [
    figure(
      `${peer} delivered/s`,
      '/s',
      'higher',
      each(({ deliveredPerSecond }) => deliveredPerSecond),
      'messages delivered a second at the highest rate that held',
    ),
    figure(
      `${peer} p99`,
      'ms',
      'lower',
      each(({ p99Ms }) => p99Ms),
      'at that rate, from the moment a message was due',
    ),
    figure(
      `${peer} CPU s per million`,
      's',
      'lower',
      each(({ serverCpuPerMillion }) => serverCpuPerMillion),
      'CPU seconds of the server process a million messages delivered',
    ),
    figure(
      `${peer} CPU s per million, with helpers`,
      's',
      'lower',
      each(({ allCpuPerMillion }) => allCpuPerMillion),
      'and of the Redis or master process beside it',
    ),
    figure(
      `${peer} messages a frame`,
      '',
      'neither',
      each(({ messagesPerFrame }) => messagesPerFrame),
      'how much one WebSocket frame carried',
    ),
    figure(
      `${peer} bytes a message`,
      'bytes',
      'lower',
      each(({ bytesPerMessage }) => bytesPerMessage),
      'on the wire, frame heads included; the text alone is 60',
    ),
    figure(
      `${peer} server share`,
      'cores',
      'neither',
      each(({ serverShare }) => serverShare),
      'CPU seconds a second of the server process',
    ),
    figure(
      `${peer} receivers share`,
      'cores',
      'neither',
      each(({ receiversShare }) => receiversShare),
      'CPU seconds a second of the busiest process that received',
    ),
    figure(
      `${peer} others share`,
      'cores',
      'neither',
      each(({ othersShare }) => othersShare),
      'CPU seconds a second of processes that are no part of the comparison',
    ),
    ...(most > 0
      ? [figure(`${peer} delivered/s when full`, '/s', 'neither', [most], 'the most seen in any step, however late')]
      : []),
    ...(idleBytes.length === 0
      ? []
      : [figure(`${peer} bytes an idle connection`, 'bytes', 'lower', idleBytes, 'growth of the server process')]),
  ];
}

interface Ratio {
  readonly name: string;
  readonly better: Figure['better'];
  readonly about: string;
  /** One a round: both sides of it ran minutes apart at most. */
  readonly runs: readonly number[];
  readonly wanted?: { readonly bound: number };
}

const RATIOS = [
  { to: 'bare-uws', of: 'delivered/s', bound: 0.8 },
  { to: 'nats', of: 'delivered/s', bound: 4 },
  { to: 'socketio', of: 'delivered/s', bound: 100 },
  { to: 'bare-uws', of: 'CPU', bound: 1.5 },
  { to: 'nats', of: 'CPU', bound: 1 / 8 },
] as const;

function ratiosOf(all: readonly PeerRounds[]): Ratio[] {
  const subject = all.find(({ peer }) => peer === SUBJECT);
  if (subject === undefined) return [];
  const ratio = (other: PeerRounds, of: 'delivered/s' | 'CPU', bound?: number): Ratio => {
    const value = (stretch: Stretch): number =>
      of === 'CPU' ? stretch.serverCpuPerMillion : stretch.deliveredPerSecond;
    const [own, others] = [valuesOf(subject, value), valuesOf(other, value)];
    return {
      name: `${SUBJECT} / ${other.peer}, ${of}`,
      better: of === 'CPU' ? 'lower' : 'higher',
      about:
        of === 'CPU'
          ? 'CPU a message delivered, server processes alone'
          : 'highest rates that held, under the same bound of p99',
      runs: own.map((mine, i) => mine / (others[i] ?? Number.NaN)),
      ...(bound === undefined ? {} : { wanted: { bound } }),
    };
  };
  return all
    .filter((other) => other !== subject)
    .flatMap((other) =>
      (['delivered/s', 'CPU'] as const).map((of) =>
        ratio(other, of, RATIOS.find((known) => known.to === other.peer && known.of === of)?.bound),
      ),
    );
}

const DELIVERED_WANTED = 8_000_000;
const P99_WANTED_MS = 150;
const IDLE_BYTES_WANTED = 3 * 1024;

/** Medians against the targets; a server that did not run has none. */
export function levelsOf(all: readonly PeerRounds[]): Level[] {
  const subject = all.find(({ peer }) => peer === SUBJECT);
  if (subject === undefined) return [];
  const [delivered, p99Ms] = [
    median(valuesOf(subject, (stretch) => stretch.deliveredPerSecond)),
    median(valuesOf(subject, (stretch) => stretch.p99Ms)),
  ];
  const ratios = ratiosOf(all).flatMap(({ name, better, runs, wanted }) => {
    if (wanted === undefined) return [];
    const measured = median(runs);
    return [
      target(
        name,
        `${better === 'lower' ? '<=' : '>='} ${wanted.bound} x`,
        times(measured),
        better === 'lower' ? measured <= wanted.bound : measured >= wanted.bound,
      ),
    ];
  });
  const idle = median(subject.idleBytes);
  return [
    target(
      `${SUBJECT} delivered/s`,
      `>= ${millions(DELIVERED_WANTED)} at p99 <= ${P99_WANTED_MS} ms`,
      Number.isNaN(delivered) ? 'no rate held' : `${millions(delivered)} at ${p99Ms.toFixed(0)} ms`,
      delivered >= DELIVERED_WANTED && p99Ms <= P99_WANTED_MS,
    ),
    ...ratios,
    ...(Number.isNaN(idle)
      ? []
      : [
          target(
            `${SUBJECT} bytes an idle connection`,
            `<= ${IDLE_BYTES_WANTED}`,
            idle.toFixed(0),
            idle <= IDLE_BYTES_WANTED,
          ),
        ]),
  ];
}

const target = (flag: string, wanted: string, measured: string, ok: boolean): Level => ({
  flag: `target: ${flag}`,
  wanted,
  measured,
  ok,
});
const times = (value: number): string =>
  Number.isNaN(value) ? 'no round in which both held' : `${value.toFixed(3)} x`;
const millions = (value: number): string => `${(value / 1e6).toFixed(2)} M`;

/**
 * Can the numbers be believed: did the receivers and the publisher keep up, and did everybody get
 * everything in order?
 */
export function checksOf(all: readonly PeerRounds[]): Check[] {
  return all.flatMap(({ peer, best }) => {
    const held = best.filter((stretch) => stretch !== null);
    const worst = (value: (stretch: Stretch) => number): number => Math.max(0, ...held.map(value));
    const others = worst(({ othersShare }) => othersShare);
    const [receivers, late, outOfOrder] = [
      worst(({ receiversShare }) => receiversShare),
      worst(({ lateShare }) => lateShare),
      worst((stretch) => stretch.outOfOrder),
    ];
    return [
      {
        name: `${peer}: a rate held in every round`,
        ok: held.length === best.length,
        detail: `${held.length} of ${best.length} rounds`,
      },
      {
        name: `${peer}: nothing came out of order`,
        ok: outOfOrder === 0,
        detail: `${outOfOrder} messages behind a later one`,
      },
      {
        name: `${peer}: the receivers had room`,
        ok: receivers <= RECEIVERS_SHARE_MAX,
        detail: `at most ${receivers.toFixed(2)} of a core`,
      },
      {
        name: `${peer}: the machine did nothing else`,
        ok: !(others > OTHERS_SHARE_MAX),
        detail: `at most ${others.toFixed(2)} of a core for other processes`,
      },
      {
        name: `${peer}: the publisher was punctual`,
        ok: late <= LATE_SHARE_MAX,
        detail: `${(late * 100).toFixed(2)} % of the messages left late`,
      },
    ];
  });
}
