/**
 * A room with everybody in it and chat that may begin: what chat, events and stalled have in
 * common.
 */

import { LIMITS } from '../../src/limits.ts';
import type { Stretch } from '../generator/assemble.ts';
import type { LoadHandle } from '../generator/contract.ts';
import type { AudienceCommand, AudienceParams, AudienceSummary } from '../generator/workloads/viewers.ts';
import type { Check } from '../report/result.ts';
import { AHEAD_MS, type Chronicle, type Run } from './chronicle.ts';
import type { CommonFlags } from './common-flags.ts';
import { FlagError } from './flags.ts';
import { openRoom } from './room.ts';
import { cpuSecondsBetween } from './target.ts';

/**
 * A burst of independent writers stays below the limit of each of them: they are asked for two
 * thirds of it.
 */
const PER_WRITER_PER_SECOND = (LIMITS.chatRatePerSecond * 2) / 3;
/** Independent writers come in bursts: four times their mean and nobody is refused. */
const BURST = 4;
const JOIN_MS_MAX = 60_000;

export interface Writing {
  readonly viewers: number;
  /** Messages a second of the whole room. */
  readonly rate: number;
  /** Null: as many as the engine's limit of one person asks for. */
  readonly writers: number | null;
}

export const writersFor = ({ writers, rate, viewers }: Writing, ownEngine: boolean): number =>
  writers ??
  Math.max(1, Math.min(Math.ceil(rate / PER_WRITER_PER_SECOND), ownEngine ? viewers : Number.POSITIVE_INFINITY));

/** Throws `FlagError` when the room has not got the people to write so much. */
export function checkWriters(writing: Writing, ownEngine: boolean): void {
  const { rate, viewers } = writing;
  const writers = writersFor(writing, ownEngine);
  if (writers > viewers)
    throw new FlagError(
      `${rate} messages a second need ${writers} people who write, the room has ${viewers}: raise --viewers or lower --rate`,
    );
  if (!ownEngine && rate / writers > LIMITS.chatRatePerSecond)
    throw new FlagError(
      `--writers ${writers} would each write ${(rate / writers).toFixed(1)} a second; the engine allows ${LIMITS.chatRatePerSecond} unless it was set otherwise`,
    );
}

/** Settings of an engine of its own in which one person may write so much. */
export function ratesFor(perPersonPerSecond: number): Record<string, string> {
  const chatPerSecond = Math.max(LIMITS.chatRatePerSecond, Math.ceil(BURST * perPersonPerSecond));
  return {
    CHAT_PER_SECOND: String(chatPerSecond),
    REQUESTS_PER_SECOND: String(Math.max(LIMITS.requestRatePerSecond, 2 * chatPerSecond)),
  };
}

export type Room = LoadHandle<AudienceCommand>;

export interface RoomNeeds extends Pick<AudienceParams, 'variant' | 'measureEvery' | 'measureFrom'> {
  readonly label: string;
  readonly viewers: number;
  readonly joinRate: number;
}

/** Opens a show and lets everybody in. Rejects when they are not all there within a minute. */
export async function fillRoom(
  { target, fleet, chronicle }: Run,
  { label, variant, viewers, joinRate, ...measuring }: RoomNeeds,
): Promise<{ show: string; room: Room }> {
  chronicle.phase('preparing');
  const show = await openRoom(target, label);
  const room = await fleet.load<AudienceParams, AudienceCommand>('audience', {
    gate: target.gate,
    show,
    access: await target.access(show, viewers),
    role: 'viewer',
    variant,
    people: viewers,
    joinPerSecond: joinRate,
    ...measuring,
  });
  await letIn({ fleet, chronicle }, viewers, joinRate, [room]);
  return { show, room };
}

/** Waits until the people of these loads are in, all together. */
export async function letIn(
  { fleet, chronicle }: Pick<Run, 'fleet' | 'chronicle'>,
  people: number,
  joinRate: number,
  loads: readonly Room[],
): Promise<void> {
  const joinMs = fleet.secondAfter(AHEAD_MS);
  chronicle.phase('joining', { fromMs: joinMs });
  for (const load of loads) load.start(joinMs);
  await fleet.until(joinMs + (people * 1000) / joinRate);
  await fleet.when(`${people} viewers to be let in`, () => chronicle.gauge('viewers') === people, JOIN_MS_MAX);
}

export const sumOf = (ends: readonly AudienceSummary[], of: (end: AudienceSummary) => number): number =>
  ends.reduce((total, end) => total + of(end), 0);

export interface TalkRound {
  readonly stretch: Stretch;
  /** Of the gateway process. */
  cpuSeconds: number;
}

/**
 * Waits for the rounds of a run, one right after the other, and reads the gateway's CPU between
 * them. `rounds` grows as they begin.
 */
export async function measureRounds(
  { fleet, chronicle }: Run,
  rounds: TalkRound[],
  name: string,
  fromMs: number,
  { rounds: times, seconds }: CommonFlags,
): Promise<void> {
  await fleet.until(fromMs);
  let before = await chronicle.readServer();
  for (let round = 0; round < times; round++) {
    const stretch = chronicle.phase(times === 1 ? name : `${name}, round ${round + 1}`, {
      fromMs: fromMs + round * seconds * 1000,
      forMs: seconds * 1000,
      measured: true,
    });
    const current = { stretch, cpuSeconds: Number.NaN };
    rounds.push(current);
    await fleet.until(stretch.toMs);
    const after = await chronicle.readServer();
    current.cpuSeconds = cpuSecondsBetween('gateway', before, after);
    before = after;
  }
}

/** That everybody stands to the end and every message had an answer. */
export function standingChecks(chronicle: Chronicle, connected: number, unanswered: number, people: number): Check[] {
  const [sent, accepted] = [chronicle.count('chat sent'), chronicle.count('chat accepted')];
  return [
    {
      name: 'nobody lost the line',
      ok: connected === people,
      detail: `${connected} of ${people} were there until the end`,
    },
    {
      name: 'each message was answered',
      promise: 'Q-5',
      ok: unanswered === 0,
      detail: `${sent} sent, ${accepted} accepted, ${unanswered} without an answer`,
    },
  ];
}
