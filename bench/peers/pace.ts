/** An open schedule: message i is due at start + i / rate, independent of the server. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LATE_SEND_MS } from '../generator/contract.ts';
import { nowMicros } from './message.ts';

export type Offer = { readonly perSecond: number; readonly forMs: number };

export interface Offered {
  readonly sent: number;
  /** Left more than `LATE_SEND_MS` after they were due: the publisher was delayed. */
  readonly late: number;
  /** Stopped early, because the server accepted no more. */
  readonly stuck: boolean;
}

export interface Pacing extends Offer {
  readonly firstNumber: number;
  publish(number: number, dueMicros: number): void;
  /** Writes what was published. Returns true if too much is waiting to go on. */
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

/** If more bytes wait to be written, the server no longer keeps up. */
const WAITING_BYTES_MAX = 32 * 1024 * 1024;

interface Outlet {
  write(bytes: Buffer): unknown;
  waitingBytes(): number;
  close(): void;
}

/** Publishes over one connection. Message numbers continue from one offer to the next. */
export function publishing(
  { write, waitingBytes, close }: Outlet,
  encode: (number: number, dueMicros: number) => Buffer,
  stopServer: () => Promise<void>,
) {
  let number = 0;
  let due: Buffer[] = [];
  const offer = async (wanted: Offer): Promise<Offered> => {
    const offered = await pace({
      ...wanted,
      firstNumber: number,
      publish: (next, dueMicros) => due.push(encode(next, dueMicros)),
      flush() {
        if (due.length > 0) write(Buffer.concat(due));
        due = [];
        return waitingBytes() > WAITING_BYTES_MAX;
      },
    });
    number += offered.sent;
    return offered;
  };
  const stop = async (): Promise<void> => {
    close();
    await stopServer();
  };
  return { offer, stop };
}
