/** A full room with chat: the common part of chat, events and stalled. */
import { LIMITS } from '../../src/limits.ts';
import type { Stretch } from '../generator/assemble.ts';
import type { LoadHandle } from '../generator/contract.ts';
import type { ViewersCommand, ViewersParams, ViewersSummary } from '../generator/workloads/viewers.ts';
import type { Check } from '../report/result.ts';
import { checkThat } from '../verdict/check.ts';
import { FlagError, type FlagTable } from './flags.ts';
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
  if (writers > viewers)
    throw new FlagError(
      `${rate} messages per second need ${writers} writers, the room has ${viewers}: raise --viewers or lower --rate`,
    );
  if (!ownEngine && rate / writers > LIMITS.chatRatePerSecond)
    throw new FlagError(
      `--writers ${writers} would each write ${(rate / writers).toFixed(1)} per second; ` +
        `the engine's default limit is ${LIMITS.chatRatePerSecond}`,
    );
}

/** Settings of an engine in which one user may write this much. */
export function ratesFor(perUserPerSecond: number): Record<string, string> {
  const chatPerSecond = Math.max(LIMITS.chatRatePerSecond, Math.ceil(BURST * perUserPerSecond));
  return {
    CHAT_PER_SECOND: String(chatPerSecond),
    REQUESTS_PER_SECOND: String(Math.max(LIMITS.requestRatePerSecond, 2 * chatPerSecond)),
  };
}

export type Room = LoadHandle<ViewersCommand>;

export interface RoomNeeds extends Pick<ViewersParams, 'measureEvery' | 'measureFrom'> {
  readonly label: string;
  readonly viewers: number;
  readonly joinRate: number;
}

/** Opens a show and joins its viewers. Rejects if they are not all in after a minute. */
export async function fillRoom<F extends FlagTable>(
  run: Run<F>,
  { label, viewers, joinRate, ...measuring }: RoomNeeds,
): Promise<{ show: string; room: Room }> {
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
export async function audienceBase<F extends FlagTable>({ target, common }: Run<F>, show: string, viewers: number) {
  const access = await target.access(show, viewers);
  return { gateway: target.gateway, show, access, role: 'viewer', variant: common.variant } as const;
}

/** Waits until the viewers of all these loads have joined. */
export async function joinAll<F extends FlagTable>(
  run: Run<F>,
  viewers: number,
  joinRate: number,
  loads: readonly Room[],
): Promise<void> {
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
export async function measureRounds<F extends FlagTable>(
  run: Run<F>,
  rounds: ChatRound[],
  name: string,
  fromMs: number,
): Promise<void> {
  const { rounds: times, seconds } = run.common;
  await run.fleet.until(fromMs);
  let before = await run.readServer();
  for (let round = 0; round < times; round++) {
    const stretch = run.phase(times === 1 ? name : `${name}, round ${round + 1}`, {
      fromMs: fromMs + round * seconds * 1000,
      forMs: seconds * 1000,
      measured: true,
    });
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
export function connectionChecks<F extends FlagTable>(
  run: Run<F>,
  ends: ReadonlyArray<{ readonly connected: number; readonly unanswered: number }>,
  viewers: number,
): Check[] {
  const connected = sumOf(ends, (end) => end.connected);
  const withoutReply = sumOf(ends, (end) => end.unanswered);
  const [sent, accepted] = [run.count('chat sent'), run.count('chat accepted')];
  return [
    checkThat('no connection was lost', connected === viewers, `${connected} of ${viewers} lasted until the end`),
    checkThat(
      'each message got a reply',
      withoutReply === 0,
      `${sent} sent, ${accepted} accepted, ${withoutReply} without a reply`,
      'Q-5',
    ),
  ];
}

export function gapCheck(ends: readonly ViewersSummary[], missed: number): Check {
  const [events, chat] = [sumOf(ends, ({ eventGaps }) => eventGaps), sumOf(ends, ({ chatGaps }) => chatGaps)];
  return checkThat(
    'events and chat without a silent gap',
    events === 0 && chat === 0,
    `missing and not announced: ${events} events, ${chat} chat messages; ${missed} announced as missed`,
    'I7',
  );
}
