/** When each of so many people comes. */
import type { EveningCommand } from './commands.ts';

type Shape = Extract<EveningCommand, { do: 'join' }>['shape'];

/**
 * Offsets from the start, ascending. `even`: the same number each second. `ramp`: ever more, the
 * rate grows from nothing in a line, so the share that is there after t of T is (t/T)^2. `fade`:
 * the other way round, most come at once and stragglers later.
 */
export function* arrivalTimes(shape: Shape, people: number, overMs: number): Generator<number, void> {
  for (let i = 0; i < people; i++) {
    const share = i / people;
    yield overMs * (shape === 'even' ? share : shape === 'ramp' ? Math.sqrt(share) : 1 - Math.sqrt(1 - share));
  }
}
