/** What a scenario is: a function of a seed that opens a house, plays, and says what it found. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrng, type Prng } from '../../bench/audience/prng.ts';
import { type House, type HousePlan, openHouse } from './house.ts';
import type { Verdict } from './verdict.ts';

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

/** Plays in a house of its own and leaves nothing behind, whatever happens. */
export function scenario(name: string, plan: HousePlan, play: (scene: Scene) => Promise<Verdict>): Scenario {
  return {
    name,
    async play(seed) {
      const house = await openHouse(plan);
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
    },
  };
}
