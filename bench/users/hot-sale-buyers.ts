/** Buyers that press as fast as one process can: the transport without the behavior. */
import { setTimeout as sleep } from 'node:timers/promises';
import { newHistogram } from '../generator/recorder.ts';
import { RawSocket, textFrame } from '../generator/websocket.ts';
import { HOT_SALE, HOT_SKU } from '../launch/hot-sale.ts';

export interface HotBuyer {
  readonly socket: RawSocket;
  /** Due time of each open press by request id, in ms of `performance.now()`. */
  readonly open: Map<number, number>;
}

export interface PressTarget {
  readonly port: number;
  token(show: string, user: string): string;
}

const LETTER_W = 0x77;
const LETTER_O = 0x6f;
const LETTER_E = 0x65;
const OK_ID_AT = '{"t":"ok","id":'.length;
const ERROR_ID_AT = '{"t":"error","id":'.length;
const JOINS_AT_ONCE = 200;

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

export class HotSaleBuyers {
  readonly buyers: HotBuyer[] = [];
  /** `accepted`, or the code of the refusal. */
  readonly replies = new Map<string, number>();
  replyCount = 0;
  readonly latencyMicros = newHistogram();
  onReply: ((buyer: HotBuyer) => void) | null = null;
  #nextId = 1;
  #closed = 0;

  async join(target: PressTarget, show: string, count: number): Promise<void> {
    for (let from = 0; from < count; from += JOINS_AT_ONCE) {
      const users = Array.from({ length: Math.min(JOINS_AT_ONCE, count - from) }, (_, i) => `buyer-${from + i}`);
      await Promise.all(users.map((user) => this.#join(target, show, user)));
    }
  }

  press(buyer: HotBuyer, dueMs: number): void {
    buyer.socket.sendFrames(this.#frame(buyer, dueMs));
  }

  pressOften(buyer: HotBuyer, times: number, dueMs: number): void {
    buyer.socket.sendFrames(Buffer.concat(Array.from({ length: times }, () => this.#frame(buyer, dueMs))));
  }

  /** Resolves after so many replies. Rejects when a connection closed, whose replies never come. */
  async waitForReplies(replies: number, pollMs: number): Promise<void> {
    while (this.replyCount < replies) {
      if (this.#closed > 0)
        throw new Error(`${this.#closed} connections closed after ${this.replyCount} of ${replies} replies`);
      await sleep(pollMs);
    }
  }

  reset(): void {
    this.replies.clear();
    this.replyCount = 0;
    this.latencyMicros.reset();
    this.onReply = null;
  }

  leave(): void {
    for (const { socket } of this.buyers) socket.destroy();
    this.buyers.length = 0;
  }

  #frame(buyer: HotBuyer, dueMs: number): Buffer {
    const id = this.#nextId++;
    buyer.open.set(id, dueMs);
    return textFrame(
      `{"t":"reserve","id":${id},"key":"k${id}","sale":"${HOT_SALE}","lines":[{"sku":"${HOT_SKU}","qty":1}]}`,
    );
  }

  #join({ port, token }: PressTarget, show: string, user: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const protocols = ['stampede.v1.json', `token.${token(show, user)}`];
      const socket = new RawSocket(
        { host: '127.0.0.1', port, path: `/v1/shows/${show}`, protocols },
        {
          // `{"t":"ok","id":7,...` or `{"t":"error","id":7,"at":...,"code":"sold_out",...`
          onMessage: (payload) => {
            const kind = payload[6];
            if (kind === LETTER_W) resolve();
            else if (kind === LETTER_O) this.#onReply(buyer, numberAt(payload, OK_ID_AT), 'accepted');
            else if (kind === LETTER_E) this.#onReply(buyer, numberAt(payload, ERROR_ID_AT), codeOf(payload));
          },
          onClose: (code) => {
            this.#closed++;
            reject(new Error(`closed with ${code}`));
          },
        },
      );
      const buyer: HotBuyer = { socket, open: new Map() };
      this.buyers.push(buyer);
    });
  }

  #onReply(buyer: HotBuyer, id: number, result: string): void {
    const dueMs = buyer.open.get(id);
    if (dueMs === undefined) throw new Error(`a second reply to request ${id}`);
    buyer.open.delete(id);
    this.replyCount++;
    this.replies.set(result, (this.replies.get(result) ?? 0) + 1);
    this.latencyMicros.recordValue(Math.max(1, Math.round((performance.now() - dueMs) * 1000)));
    this.onReply?.(buyer);
  }
}
