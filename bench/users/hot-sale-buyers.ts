/**
 * People who press "buy" over real sockets as one process can stand for thousands of them: presses
 * in JSON by hand, answers told apart by their first letters.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { build as buildHistogram, type Histogram } from 'hdr-histogram-js';
import { RawSocket, textFrame } from '../generator/websocket.ts';
import { HOT_SALE, HOT_SKU } from '../launch/hot-sale.ts';

export interface Buyer {
  readonly socket: RawSocket;
  /** Due time of each unanswered press by request id, in ms of `performance.now()`. */
  readonly open: Map<number, number>;
}

const LETTER_W = 0x77;
const LETTER_O = 0x6f;
const LETTER_E = 0x65;
const OK_ID_AT = '{"t":"ok","id":'.length;
const ERROR_ID_AT = '{"t":"error","id":'.length;

function numberAt(bytes: Buffer, from: number): number {
  let value = 0;
  for (let i = from; i < bytes.length; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  return value;
}

function codeOf(bytes: Buffer): string {
  const from = bytes.indexOf('"code":"') + '"code":"'.length;
  return bytes.toString('latin1', from, bytes.indexOf(0x22, from));
}

/** Whose sockets the crowd joins. */
export interface PressTarget {
  readonly port: number;
  token(show: string, user: string): string;
}

/** Everybody who presses, and what they were told. */
export class Crowd {
  readonly buyers: Buyer[] = [];
  readonly answers = new Map<string, number>();
  answered = 0;
  latencyMicros: Histogram = buildHistogram({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
  onAnswer: ((buyer: Buyer) => void) | null = null;
  private nextId = 1;
  private broken = 0;

  async join(target: PressTarget, show: string, count: number): Promise<void> {
    for (let from = 0; from < count; from += 200) {
      await Promise.all(
        Array.from({ length: Math.min(200, count - from) }, (_, i) => this.joinOne(target, show, `buyer-${from + i}`)),
      );
    }
  }

  press(buyer: Buyer, dueMs: number): void {
    buyer.socket.sendFrames(this.frame(buyer, dueMs));
  }

  /** Several presses in one write, as an impatient thumb on a slow line makes them. */
  pressOften(buyer: Buyer, times: number, dueMs: number): void {
    buyer.socket.sendFrames(Buffer.concat(Array.from({ length: times }, () => this.frame(buyer, dueMs))));
  }

  /**
   * Resolves when so many answers have come; rejects when a line broke, whose answers never will.
   */
  async told(answers: number, lookEveryMs: number): Promise<void> {
    while (this.answered < answers) {
      if (this.broken > 0)
        throw new Error(`${this.broken} lines broke, ${this.answered} of ${answers} answers had come`);
      await sleep(lookEveryMs);
    }
  }

  private frame(buyer: Buyer, dueMs: number): Buffer {
    const id = this.nextId++;
    buyer.open.set(id, dueMs);
    return textFrame(
      `{"t":"reserve","id":${id},"key":"k${id}","sale":"${HOT_SALE}","lines":[{"sku":"${HOT_SKU}","qty":1}]}`,
    );
  }

  reset(): void {
    this.answers.clear();
    this.answered = 0;
    this.latencyMicros.reset();
    this.onAnswer = null;
  }

  leave(): void {
    for (const { socket } of this.buyers) socket.destroy();
    this.buyers.length = 0;
  }

  private joinOne(target: PressTarget, show: string, user: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const open = new Map<number, number>();
      const socket = new RawSocket(
        {
          host: '127.0.0.1',
          port: target.port,
          path: `/v1/shows/${show}`,
          protocols: ['stampede.v1.json', `token.${target.token(show, user)}`],
        },
        {
          onMessage: (payload) => {
            // The kind is told by its first letter: `{"t":"ok","id":7,...` or
            // `{"t":"error","id":7,"at":...,"code":"sold_out",...`
            const kind = payload[6];
            if (kind === LETTER_W) resolve();
            else if (kind === LETTER_O) this.noteAnswer(buyer, numberAt(payload, OK_ID_AT), 'accepted');
            else if (kind === LETTER_E) this.noteAnswer(buyer, numberAt(payload, ERROR_ID_AT), codeOf(payload));
          },
          onClose: (code) => {
            this.broken++;
            reject(new Error(`closed with ${code}`));
          },
        },
      );
      const buyer: Buyer = { socket, open };
      this.buyers.push(buyer);
    });
  }

  private noteAnswer(buyer: Buyer, id: number, word: string): void {
    const dueMs = buyer.open.get(id);
    if (dueMs === undefined) throw new Error(`a second answer to request ${id}`);
    buyer.open.delete(id);
    this.answered++;
    this.answers.set(word, (this.answers.get(word) ?? 0) + 1);
    this.latencyMicros.recordValue(Math.max(1, Math.round((performance.now() - dueMs) * 1000)));
    this.onAnswer?.(buyer);
  }
}
