/** What a scenario is: a function of a seed that opens a house, plays, and says what it found. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrng, type Prng } from '../../bench/generator/prng.ts';
import { type EnginePlan, type House, startEngineUnderTest } from './engine-under-test.ts';
import type { Verdict } from './run-checker.ts';

export interface Scenario {
  readonly name: string;
  play(seed: number): Promise<Verdict>;
}

export interface Scene {
  readonly house: House;
  readonly prng: Prng;
  /** Something that must hold; said in words when it does not. */
  expect(holds: boolean, otherwise: string): void;
  note(text: string): void;
}

/** What every process logged, for whoever looks into it. */
function keepLogs({ parts }: House, name: string, seed: number): string {
  const file = join(mkdtempSync(join(tmpdir(), 'stampede-faults-')), `${name.replaceAll(/\W+/g, '-')}-${seed}.txt`);
  writeFileSync(file, parts.map((part) => `== ${part.name}\n${part.log}`).join('\n'));
  return file;
}

/**
 * A machine that stood still longer than this (a paused guest, a starved runner) broke promises
 * about time that are not ours to keep.
 */
const STANDSTILL_MS = 1_500;
const PLAYS_MAX = 3;

/** How long this process, and with it most likely all of them, got no time at all. */
function watchMachine(): () => number {
  let longestMs = 0;
  let last = Date.now();
  const timer = setInterval(() => {
    const now = Date.now();
    longestMs = Math.max(longestMs, now - last - TICK_MS);
    last = now;
  }, TICK_MS);
  return () => {
    clearInterval(timer);
    return longestMs;
  };
}
const TICK_MS = 100;

/**
 * Plays in a house of its own and leaves nothing behind, whatever happens. What a standstill of the
 * machine broke is played again.
 */
export function scenario(name: string, plan: EnginePlan, play: (scene: Scene) => Promise<Verdict>): Scenario {
  return {
    name,
    async play(seed) {
      const standstills: string[] = [];
      for (let plays = 1; ; plays++) {
        const standstill = watchMachine();
        const verdict = await playOnce(name, plan, play, seed).catch(broken);
        const stoodMs = standstill();
        verdict.notes.push(...standstills);
        if (verdict.violations.length === 0 || stoodMs < STANDSTILL_MS || plays === PLAYS_MAX) return verdict;
        standstills.push(
          `played again: the machine stood still for ${Math.round(stoodMs)} ms (${verdict.violations[0]?.slice(0, 80)})`,
        );
      }
    },
  };
}

const broken = (error: unknown): Verdict => ({
  accepted: 0,
  confirmed: 0,
  offers: 0,
  said: 0,
  lost: 0,
  notes: [],
  violations: [`the run broke: ${error instanceof Error ? error.stack : String(error)}`],
});

async function playOnce(
  name: string,
  plan: EnginePlan,
  play: (scene: Scene) => Promise<Verdict>,
  seed: number,
): Promise<Verdict> {
  const house = await startEngineUnderTest(plan);
  const violations: string[] = [];
  const notes: string[] = [];
  try {
    const scene: Scene = {
      house,
      prng: createPrng(seed),
      expect: (holds, otherwise) => void (holds || violations.push(otherwise)),
      note: (text) => void notes.push(text),
    };
    const verdict = await play(scene);
    verdict.violations.push(...violations);
    verdict.notes.push(...notes);
    if (verdict.violations.length > 0) verdict.notes.push(`logs in ${keepLogs(house, name, seed)}`);
    return verdict;
  } finally {
    await house.stop();
  }
}
