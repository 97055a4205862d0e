/** Flags that several scenarios share. */
import { LIMITS } from '../../src/limits.ts';
import { count, duration } from './flags.ts';

export const viewersFlag = (initial: number, min = 1) => count(initial, 'viewers in the room', { min, max: 2_000_000 });
export const joinRateFlag = (initial: number) => count(initial, 'viewers who join per second', { max: 200_000 });
export const chatRateFlag = (initial: number) => count(initial, 'chat messages per second', { min: 0, max: 100_000 });
export const warmUpFlag = (initial: number) =>
  count(initial, 'seconds of load before the measured phase', { max: 600 });
export const charsFlag = (initial: number) =>
  count(initial, 'length of a chat message', { min: 16, max: LIMITS.chatTextCharsMax });
export const zeroSpreadFlag = duration(250, 'fail if viewers see the countdown reach zero further apart than this');
/** An optional service level. */
export const p99Flag = (what: string) =>
  duration<number | null>(null, `fail if the 99th percentile from ${what} is above this`);
