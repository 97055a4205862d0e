/** Join times of viewers. */
import type { JoinShape } from './commands.ts';

/** Ascending offsets. `ramp`: the rate grows linearly from 0. `fade`: the reverse of `ramp`. */
export function* arrivalTimes(shape: JoinShape, viewers: number, overMs: number): Generator<number, void> {
  for (let i = 0; i < viewers; i++) {
    const share = i / viewers;
    yield overMs * (shape === 'even' ? share : shape === 'ramp' ? Math.sqrt(share) : 1 - Math.sqrt(1 - share));
  }
}
