/**
 * An open schedule: message i is due at start + i / rate, whatever the server does; what is due
 * leaves together, at the next turn of the timer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LATE_SEND_MS } from '../generator/contract.ts';
import { nowMicros } from './message.ts';

export interface Offer {
  readonly perSecond: number;
  readonly forMs: number;
}

export interface Offered {
  readonly sent: number;
  /** Left later than `LATE_SEND_MS` after they were due: the publisher was held up. */
  readonly late: number;
  /** Stopped early: the server no longer took what it was sent. */
  readonly stuck: boolean;
}

export interface Pacing extends Offer {
  /** Number of the first message. */
  readonly firstNumber: number;
  publish(number: number, dueMicros: number): void;
  /**
   * After what was due was published: write it out. True = so much waits that going on would only
   * fill memory.
   */
  flush(): boolean;
}

const TURN_MS = 1;

export async function pace({ perSecond, forMs, firstNumber, publish, flush }: Pacing): Promise<Offered> {
  const total = Math.max(1, Math.round((perSecond * forMs) / 1000));
  const startMicros = nowMicros();
  let sent = 0;
  let late = 0;
  let stuck = false;
  while (sent < total && !stuck) {
    const now = nowMicros();
    while (sent < total) {
      const dueMicros = startMicros + Math.round((sent * 1e6) / perSecond);
      if (dueMicros > now) break;
      if (now - dueMicros > LATE_SEND_MS * 1000) late++;
      publish(firstNumber + sent, dueMicros);
      sent++;
    }
    stuck = flush();
    await sleep(TURN_MS);
  }
  return { sent, late, stuck };
}
