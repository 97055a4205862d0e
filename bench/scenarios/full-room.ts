/** A full room with chat: the common part of chat, events and stalled. */
import { LIMITS } from '../../src/limits.ts';
import type { Stretch } from '../generator/assemble.ts';
import type { LoadHandle } from '../generator/contract.ts';
import type { ViewersCommand, ViewersParams, ViewersSummary } from '../generator/workloads/viewers.ts';
import type { Check } from '../report/result.ts';
import { checkThat } from '../verdict/check.ts';
import { FlagError } from './flags.ts';
import { openRoom } from './room.ts';
import { AHEAD_MS, type Run } from './scenario-run.ts';
import { cpuSecondsBetween } from './target.ts';

/** Two thirds of the limit of a writer, so that a burst of independent writers stays below it. */
const PER_WRITER_PER_SECOND = (LIMITS.chatRatePerSecond * 2) / 3;
/** Independent writers burst up to four times their mean. */
const BURST = 4;
const JOIN_MS_MAX = 60_000;

export interface Writing {
  readonly viewers: number;
  /** Messages per second of the whole room. */
  readonly rate: number;
  /** Null: as many as the engine's limit per user requires. */
  readonly writers: number | null;
}

export const writersFor = ({ writers, rate, viewers }: Writing, ownEngine: boolean): number =>
  writers ??
  Math.max(1, Math.min(Math.ceil(rate / PER_WRITER_PER_SECOND), ownEngine ? viewers : Number.POSITIVE_INFINITY));

/** Throws `FlagError` if the room has too few viewers for this rate. */
export function checkWriters(writing: Writing, ownEngine: boolean): void {
  const { rate, viewers } = writing;
  const writers = writersFor(writing, ownEngine);
  const need = `${rate} messages per second need ${writers} writers`;
  if (writers > viewers) throw new FlagError(`${need}, the room has ${viewers}: raise --viewers or lower --rate`);
  const each = `--writers ${writers} would each write ${(rate / writers).toFixed(1)} per second`;
  if (!ownEngine && rate / writers > LIMITS.chatRatePerSecond)
    throw new FlagError(`${each}; the engine's default limit is ${LIMITS.chatRatePerSecond}`);
}

/** Settings of an engine in which one user may write this much. */
export function ratesFor(perUserPerSecond: number): Record<string, string> {
  const chatPerSecond = Math.max(LIMITS.chatRatePerSecond, Math.ceil(BURST * perUserPerSecond));
  const requestsPerSecond = Math.max(LIMITS.requestRatePerSecond, 2 * chatPerSecond);
  return { CHAT_PER_SECOND: String(chatPerSecond), REQUESTS_PER_SECOND: String(requestsPerSecond) };
}

export type Room = LoadHandle<ViewersCommand>;
/** What these functions use of a run, for any flags. */
type RoomRun = Pick<Run, 'target' | 'common' | 'fleet' | 'phase' | 'gauge' | 'count' | 'readServer'>;
type Ending = { readonly connected: number; readonly unanswered: number };

export interface RoomNeeds extends Pick<ViewersParams, 'measureEvery' | 'measureFrom'> {
  readonly label: string;
  readonly viewers: number;
  readonly joinRate: number;
}

/** Opens a show and joins its viewers. Rejects if they are not all in after a minute. */
export async function fillRoom(run: RoomRun, { label, viewers, joinRate, ...measuring }: RoomNeeds) {
  run.phase('preparing');
  const show = await openRoom(run.target, label);
  const room = await run.fleet.load<ViewersParams, ViewersCommand>('viewers', {
    ...(await audienceBase(run, show, viewers)),
    users: viewers,
    joinPerSecond: joinRate,
    ...measuring,
  });
  await joinAll(run, viewers, joinRate, [room]);
  return { show, room };
}

/** Parameters that all viewers of a show share. */
export async function audienceBase({ target, common }: RoomRun, show: string, viewers: number) {
  const access = await target.access(show, viewers);
  return { gateway: target.gateway, show, access, role: 'viewer', variant: common.variant } as const;
}

/** Waits until the viewers of all these loads have joined. */
export async function joinAll(run: RoomRun, viewers: number, joinRate: number, loads: readonly Room[]): Promise<void> {
  const joinMs = run.fleet.secondAfter(AHEAD_MS);
  run.phase('joining', { fromMs: joinMs });
  for (const load of loads) load.start(joinMs);
  await run.fleet.until(joinMs + (viewers * 1000) / joinRate);
  await run.fleet.when(`${viewers} viewers to join`, () => run.gauge('viewers') === viewers, JOIN_MS_MAX);
}

export interface ChatRound {
  readonly stretch: Stretch;
  /** Of the gateway process. */
  cpuSeconds: number;
}

export interface ChatRun {
  readonly rounds: ChatRound[];
  /** Empty until the load has stopped. */
  ends: ViewersSummary[];
}

/** Measures consecutive rounds and the CPU time of the gateway in each. */
export async function measureRounds(run: RoomRun, rounds: ChatRound[], name: string, fromMs: number): Promise<void> {
  const { rounds: count, seconds } = run.common;
  await run.fleet.until(fromMs);
  let before = await run.readServer();
  for (let round = 0; round < count; round++) {
    const times = { fromMs: fromMs + round * seconds * 1000, forMs: seconds * 1000 };
    const stretch = run.phase(count === 1 ? name : `${name}, round ${round + 1}`, { ...times, measured: true });
    const current = { stretch, cpuSeconds: Number.NaN };
    rounds.push(current);
    await run.fleet.until(stretch.toMs);
    const after = await run.readServer();
    current.cpuSeconds = cpuSecondsBetween('gateway', before, after);
    before = after;
  }
}

export const sumOf = <T>(ends: readonly T[], of: (end: T) => number): number =>
  ends.reduce((total, end) => total + of(end), 0);

/** Checks that all connections lasted and that every message got a reply. */
export function connectionChecks(run: RoomRun, ends: readonly Ending[], viewers: number): Check[] {
  const connected = sumOf(ends, (end) => end.connected);
  const withoutReply = sumOf(ends, (end) => end.unanswered);
  const [sent, accepted] = [run.count('chat sent'), run.count('chat accepted')];
  const replies = `${sent} sent, ${accepted} accepted, ${withoutReply} without a reply`;
  return [
    checkThat('no connection was lost', connected === viewers, `${connected} of ${viewers} lasted until the end`),
    checkThat('each message got a reply', withoutReply === 0, replies, 'Q-5'),
  ];
}

export function gapCheck(ends: readonly ViewersSummary[], missed: number): Check {
  const [events, chat] = [sumOf(ends, ({ eventGaps }) => eventGaps), sumOf(ends, ({ chatGaps }) => chatGaps)];
  const counts = `missing and not announced: ${events} events, ${chat} chat messages; ${missed} announced as missed`;
  return checkThat('events and chat without a silent gap', events === 0 && chat === 0, counts, 'I7');
}
