/** The chat message of a comparison: 60 bytes, `0000000042 0000012345678901 ....` (number, due). */
import { monotonicMs } from '../generator/clock.ts';

export const MESSAGE_BYTES = 60;
const NUMBER_DIGITS = 10;
const DUE_AT = NUMBER_DIGITS + 1;
const DUE_DIGITS = 16;
const ZERO = 0x30;
const FILLER = Buffer.from(
  ` ${' '.repeat(NUMBER_DIGITS + DUE_DIGITS)} `.padEnd(MESSAGE_BYTES, 'how long is shipping to Canada?!'),
  'latin1',
);

/** CLOCK_MONOTONIC in whole microseconds: the same in all processes of a machine. */
export const nowMicros = (): number => Math.round(monotonicMs() * 1000);

export function writeMessage(out: Buffer, at: number, number: number, dueMicros: number): void {
  FILLER.copy(out, at);
  writeDigits(out, at, NUMBER_DIGITS, number);
  writeDigits(out, at + DUE_AT, DUE_DIGITS, dueMicros);
}

export function messageBytes(number: number, dueMicros: number): Buffer {
  const bytes = Buffer.allocUnsafe(MESSAGE_BYTES);
  writeMessage(bytes, 0, number, dueMicros);
  return bytes;
}

export const messageText = (number: number, dueMicros: number): string =>
  messageBytes(number, dueMicros).toString('latin1');

export const numberOf = (bytes: Uint8Array, at: number): number => readDigits(bytes, at, NUMBER_DIGITS);
export const dueMicrosOf = (bytes: Uint8Array, at: number): number => readDigits(bytes, at + DUE_AT, DUE_DIGITS);

function writeDigits(out: Buffer, at: number, digits: number, value: number): void {
  let left = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const next = Math.floor(left / 10);
    out[i] = ZERO + (left - next * 10);
    left = next;
  }
}

function readDigits(bytes: Uint8Array, at: number, digits: number): number {
  let value = 0;
  for (let i = at; i < at + digits; i++) value = value * 10 + ((bytes[i] as number) - ZERO);
  return value;
}
