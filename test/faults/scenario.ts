/** A scenario: a function of a seed that starts an engine, plays, and returns what it found. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrng, type Prng } from '../../bench/generator/prng.ts';
import { type EnginePlan, type EngineUnderTest, startEngineUnderTest } from './engine-under-test.ts';
import { createFlashSaleShow, type SalePlan } from './flash-sale.ts';
import { type Allowances, checkRun, type Verdict } from './run-checker.ts';
import { joinUsers, type Users, type UsersPlan } from './virtual-users.ts';

export interface Scenario {
  readonly name: string;
  play(seed: number): Promise<Verdict>;
}

export interface Scene {
  readonly engine: EngineUnderTest;
  readonly prng: Prng;
  /** Creates the show and connects its users, who leave at the end. */
  join(sale: SalePlan, users?: UsersPlan): Promise<Users>;
  /** Adds a violation when the condition does not hold. */
  expect(holds: boolean, violation: string): void;
  note(text: string): void;
  /** Runs when the users have left; the last one added runs first. */
  onEnd(run: () => Promise<unknown>): void;
}

/** Plays until all is decided. The users are then checked with the allowances that it returns. */
type Play = (scene: Scene) => Promise<Allowances & { readonly afterCheck?: () => unknown }>;

/** Returns a reply as a violation names it. */
export const shown = (value: unknown): string => JSON.stringify(value).slice(0, 300);

/** A machine that stalled for longer broke timing promises without a fault of the engine. */
const STALL_MS = 1_500;
const PLAYS_MAX = 3;
const TICK_MS = 100;

/** Returns a function that ends the watch and returns the longest stall of this process. */
function watchStalls(): () => number {
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

/** Plays on a fresh engine and stops it in any case. A run that a stall broke is repeated. */
export function scenario(name: string, plan: EnginePlan, play: Play): Scenario {
  return {
    name,
    async play(seed) {
      const repeats: string[] = [];
      for (let plays = 1; ; plays++) {
        const longestStall = watchStalls();
        const verdict = await playOnce(name, plan, play, seed).catch(brokenRun);
        const stallMs = longestStall();
        verdict.notes.push(...repeats);
        if (verdict.violations.length === 0 || stallMs < STALL_MS || plays === PLAYS_MAX) return verdict;
        const [first = ''] = verdict.violations;
        repeats.push(`repeated: the machine stalled for ${Math.round(stallMs)} ms (${first.slice(0, 80)})`);
      }
    },
  };
}

function brokenRun(error: unknown): Verdict {
  const violations = [`the run broke: ${error instanceof Error ? error.stack : String(error)}`];
  return { accepted: 0, confirmed: 0, offers: 0, chat: 0, lost: 0, notes: [], violations };
}

async function playOnce(name: string, plan: EnginePlan, play: Play, seed: number): Promise<Verdict> {
  const engine = await startEngineUnderTest(plan);
  const prng = createPrng(seed);
  const violations: string[] = [];
  const notes: string[] = [];
  const ends: Array<() => Promise<unknown>> = [() => engine.stop()];
  const joined: Users[] = [];
  try {
    const { afterCheck, ...allowances } = await play({
      engine,
      prng,
      async join(sale, plan) {
        const users = await joinUsers(engine, await createFlashSaleShow(engine, sale), prng, plan);
        joined.push(users);
        ends.push(users.leave);
        return users;
      },
      expect: (holds, violation) => void (holds || violations.push(violation)),
      note: (text) => void notes.push(text),
      onEnd: (run) => void ends.push(run),
    });
    const [users] = joined as [Users];
    const verdict = await checkRun(engine, users, allowances);
    await afterCheck?.();
    verdict.violations.push(...violations);
    verdict.notes.push(...notes);
    if (verdict.violations.length > 0) verdict.notes.push(`logs in ${keepLogs(engine, name, seed)}`);
    return verdict;
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** Writes the logs of all processes to a file. */
function keepLogs({ parts }: EngineUnderTest, name: string, seed: number): string {
  const file = join(mkdtempSync(join(tmpdir(), 'stampede-faults-')), `${name.replaceAll(/\W+/g, '-')}-${seed}.txt`);
  writeFileSync(file, parts.map((part) => `== ${part.name}\n${part.log}`).join('\n'));
  return file;
}
