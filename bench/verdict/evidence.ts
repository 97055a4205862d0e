/**
 * What the clients of a run received, as far as promises are concerned. Each worker collects it;
 * the coordinator adds it up and compares it with the books (`checks.ts`). Plain data, because it
 * is sent between processes. Server times come from replies: they are all of the clock of Redis.
 */
import type { Item, ReservationState } from '../../src/protocol/messages.ts';

/** An accepted reply to a `reserve`. A repeated key adds another grant. */
export interface Grant {
  readonly reservation: string;
  readonly user: string;
  readonly key: string;
  readonly sale: string;
  readonly lines: readonly Item[];
  /** Server times. */
  readonly createdAt: number;
  readonly heldUntil: number;
  readonly replayed: boolean;
  /** When the key was first sent, on the fleet's clock. */
  readonly sentMs: number;
}

/** An end reported to a client: by a reply to confirm or release, by `you`, or by an error code. */
export interface End {
  readonly reservation: string;
  readonly state: Exclude<ReservationState, 'held'>;
  /** Server time; null if only an error code reported it. */
  readonly endedAt: number | null;
}

/** The refusals that prove most; the recorder counts the others. */
export interface SoldOut {
  readonly sale: string;
  readonly lines: readonly Item[];
  /** Fleet clock: arrival of the earliest such reply. */
  readonly repliedMs: number;
}
export interface TooEarly {
  readonly sale: string;
  /** Server time before which the last refused request cannot have left, by the clock sync. */
  readonly sentAtLeast: number;
}
export interface TooLate {
  readonly sale: string;
  /** Server time of the earliest such reply. */
  readonly at: number;
}
export interface OverLimit extends SoldOut {
  readonly user: string;
}

/** When viewers saw a countdown reach zero, by their clocks and by the event. Fleet clock. */
export interface Zero {
  readonly sale: string;
  readonly viewers: number;
  readonly clockFirstMs: number;
  readonly clockLastMs: number;
  readonly openedSeen: number;
  readonly openedFirstMs: number;
  readonly openedLastMs: number;
}

export interface ConnectionEvidence {
  /** Viewers connected at the end, and those of them without the newest event. */
  readonly connected: number;
  readonly behind: number;
  readonly events: number;
  /** Events missing on open connections without a snapshot. */
  readonly gaps: number;
  /** Chat messages that did not arrive, without and with an announcement. */
  readonly chatGaps: number;
  readonly missed: number;
  readonly snapshots: number;
  readonly reconnects: number;
  readonly resumed: number;
}

export interface Requests {
  readonly sent: number;
  readonly replied: number;
  /** Without a reply because the connection broke: their outcome is unknown. */
  readonly unknown: number;
  /** Without a reply on an open connection. */
  readonly ignored: number;
  /** Second replies to one request. */
  readonly doubled: number;
  /** Reserves among the unknown and ignored: each may have become a reservation. */
  readonly openReserves: number;
}

export interface Evidence {
  readonly grants: readonly Grant[];
  readonly ends: readonly End[];
  readonly soldOut: readonly SoldOut[];
  readonly tooEarly: readonly TooEarly[];
  readonly tooLate: readonly TooLate[];
  readonly overLimit: readonly OverLimit[];
  readonly zeros: readonly Zero[];
  readonly connections: ConnectionEvidence;
  readonly requests: Requests;
}

const NO_VIEWERS = { connected: 0, behind: 0, events: 0 };
export const NO_EVIDENCE: Evidence = {
  grants: [],
  ends: [],
  soldOut: [],
  tooEarly: [],
  tooLate: [],
  overLimit: [],
  zeros: [],
  connections: { ...NO_VIEWERS, gaps: 0, chatGaps: 0, missed: 0, snapshots: 0, reconnects: 0, resumed: 0 },
  requests: { sent: 0, replied: 0, unknown: 0, ignored: 0, doubled: 0, openReserves: 0 },
};

/** Adds up the evidence of all workers. Zeros of one sale become one. */
export const addEvidence = (all: readonly Evidence[]): Evidence => ({
  grants: all.flatMap(({ grants }) => grants),
  ends: all.flatMap(({ ends }) => ends),
  soldOut: all.flatMap(({ soldOut }) => soldOut),
  tooEarly: all.flatMap(({ tooEarly }) => tooEarly),
  tooLate: all.flatMap(({ tooLate }) => tooLate),
  overLimit: all.flatMap(({ overLimit }) => overLimit),
  zeros: addZeros(all.flatMap(({ zeros }) => zeros)),
  connections: addNumbers(all.map(({ connections }) => connections)) ?? NO_EVIDENCE.connections,
  requests: addNumbers(all.map(({ requests }) => requests)) ?? NO_EVIDENCE.requests,
});

function addNumbers<T extends object>([first, ...others]: readonly T[]): T | undefined {
  const add = (name: string, sum: number) => others.reduce((total, one) => total + Number(one[name as keyof T]), sum);
  return first && (Object.fromEntries(Object.entries(first).map(([name, value]) => [name, add(name, value)])) as T);
}

function addZeros(zeros: readonly Zero[]): Zero[] {
  const bySale = new Map<string, Zero>();
  for (const zero of zeros) {
    const known = bySale.get(zero.sale);
    bySale.set(zero.sale, known === undefined ? zero : addZero(known, zero));
  }
  return [...bySale.values()];
}

const addZero = (a: Zero, b: Zero): Zero => ({
  sale: a.sale,
  viewers: a.viewers + b.viewers,
  clockFirstMs: Math.min(a.clockFirstMs, b.clockFirstMs),
  clockLastMs: Math.max(a.clockLastMs, b.clockLastMs),
  openedSeen: a.openedSeen + b.openedSeen,
  openedFirstMs: Math.min(a.openedFirstMs, b.openedFirstMs),
  openedLastMs: Math.max(a.openedLastMs, b.openedLastMs),
});
