/**
 * One person on one line: joins, hears, asks. What it means is up to whoever listens; one listener
 * serves thousands.
 */
import { CODECS } from '../../src/protocol/codec.ts';
import type { Bye, ErrorMessage, Ok, ServerMessage, Variant, Welcome, You } from '../../src/protocol/messages.ts';
import type { Gate } from '../scenarios/target.ts';
import { sourceAddress } from './access.ts';
import { decode, type FrameCache, type FrameFacts, kindOf } from './frame-cache.ts';
import { emitDueWork } from './schedule.ts';
import { RawSocket } from './websocket.ts';

export interface Line {
  readonly gate: Gate;
  readonly show: string;
  readonly variant: Variant;
  readonly frames: FrameCache;
}

/** A request without its id. */
export type Question = { readonly t: string } & Readonly<Record<string, unknown>>;

/** `dueMs`: when the join or the request was due. Messages are only valid during the call. */
export interface ViewerListener {
  onWelcome(viewer: Viewer, welcome: Welcome): void;
  /** A broadcast of `bytes` payload; gaps have been counted already. */
  onFrame(viewer: Viewer, facts: FrameFacts, bytes: number): void;
  onAnswer(viewer: Viewer, answer: Ok | ErrorMessage, dueMs: number, question: Question): void;
  onYou?(viewer: Viewer, message: You): void;
  onBye?(viewer: Viewer, message: Bye): void;
  /** Close code, HTTP status of a refused upgrade, or 1006. Not called after `leave`. */
  onClose(viewer: Viewer, code: number): void;
}

/** After so many messages read, a look at what became due meanwhile. */
const MESSAGES_A_LOOK = 16;
let messages = 0;

export class Viewer {
  readonly person: number;
  /** Null: comes as a guest. */
  token: string | null = null;
  /** When this connection was due. */
  dueMs = 0;
  welcomed = false;
  /** Position: what a reconnect may resume from. */
  epoch = '';
  offset = 0;
  chatId = 0;
  /** Events and chat messages that never came and were not announced as missed. */
  eventGaps = 0;
  chatGaps = 0;
  /** Requests without an answer, with when they were due. */
  readonly open = new Map<number, { readonly dueMs: number; readonly question: Question }>();
  #socket: RawSocket | null = null;
  #nextId = 1;
  readonly #line: Line;
  readonly #listener: ViewerListener;

  constructor(person: number, line: Line, listener: ViewerListener) {
    this.person = person;
    this.#line = line;
    this.#listener = listener;
  }

  get connected(): boolean {
    return this.#socket !== null;
  }

  /** Comes, or comes back with its position where it has one. */
  join(dueMs: number): void {
    const { token } = this;
    const { gate, show, variant } = this.#line;
    this.dueMs = dueMs;
    this.welcomed = false;
    const position =
      this.epoch === '' ? '' : `?epoch=${encodeURIComponent(this.epoch)}&offset=${this.offset}&chat=${this.chatId}`;
    const localAddress = sourceAddress(gate.host, this.person);
    const socket: RawSocket = new RawSocket(
      {
        host: gate.host,
        port: gate.port,
        path: `${gate.pathPrefix}/v1/shows/${show}${position}`,
        protocols: [`stampede.v1.${variant}`, ...(token === null ? [] : [`token.${token}`])],
        ...(gate.tls === undefined ? {} : { tls: gate.tls }),
        ...(localAddress === undefined ? {} : { localAddress }),
      },
      {
        onMessage: (payload, binary) => this.#hear(payload, binary),
        onClose: (code) => {
          if (this.#socket !== socket) return;
          this.#socket = null;
          this.#listener.onClose(this, code);
        },
      },
    );
    this.#socket = socket;
  }

  /** Sends a request; its answer comes to `onAnswer` with `dueMs`. False when the line is down. */
  ask(question: Question, dueMs: number): boolean {
    if (this.#socket === null) return false;
    const id = this.#nextId++;
    this.open.set(id, { dueMs, question });
    this.#send({ ...question, id });
    return true;
  }

  /** Sends something nobody answers (hearts without an id). */
  tell(message: Question): boolean {
    if (this.#socket === null) return false;
    this.#send(message);
    return true;
  }

  /** Stops reading: a phone in a tunnel. */
  stall(): void {
    this.#socket?.pause();
  }

  unstall(): void {
    this.#socket?.resume();
  }

  /** Goes without a word, as a line that breaks. The position is kept. */
  leave(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.welcomed = false;
    socket?.destroy();
  }

  #send(message: Question): void {
    const data = CODECS[this.#line.variant].encode(message as never);
    if (typeof data === 'string') this.#socket?.sendText(data);
    else this.#socket?.sendBinary(data);
  }

  #hear(payload: Buffer, binary: boolean): void {
    if (this.#socket === null) return;
    if (++messages % MESSAGES_A_LOOK === 0) emitDueWork();
    const kind = kindOf(payload, binary);
    // A compressed message does not say what it is before it is inflated; all of them but a welcome
    // are broadcasts.
    if (kind === 'frame' || (kind === null && this.welcomed)) {
      const facts = this.#line.frames.facts(payload, binary);
      if (facts !== null) {
        this.#onFrame(facts, payload.length);
        return;
      }
    }
    this.#onMessage(decode(payload, binary));
  }

  #onFrame(facts: FrameFacts, bytes: number): void {
    const { frame } = facts;
    if (frame.snapshot !== undefined) {
      this.epoch = frame.snapshot.epoch;
      this.offset = frame.snapshot.offset;
    }
    if (facts.lastEvent > this.offset) {
      if (facts.firstEvent > this.offset + 1) this.eventGaps += facts.firstEvent - this.offset - 1;
      this.offset = facts.lastEvent;
    }
    if (frame.missed !== undefined && this.chatId > 0) this.chatId += frame.missed;
    if (facts.lastChat > this.chatId) {
      if (this.chatId > 0 && facts.firstChat > this.chatId + 1) this.chatGaps += facts.firstChat - this.chatId - 1;
      this.chatId = facts.lastChat;
    }
    this.#listener.onFrame(this, facts, bytes);
  }

  #onMessage(message: ServerMessage): void {
    switch (message.t) {
      case 'welcome':
        this.#onWelcome(message);
        break;
      case 'ok':
      case 'error':
        this.#onAnswer(message);
        break;
      case 'you':
        this.#listener.onYou?.(this, message);
        break;
      case 'bye':
        this.#listener.onBye?.(this, message);
        break;
      case 'frame':
        break;
    }
  }

  #onWelcome(welcome: Welcome): void {
    this.welcomed = true;
    this.epoch = welcome.epoch;
    if (welcome.resumed !== true) {
      this.offset = welcome.offset;
      const newest = welcome.chat.at(-1);
      this.chatId = newest === undefined ? 0 : newest[0] + (newest[2].at(-1)?.[0] ?? 0);
    }
    this.#listener.onWelcome(this, welcome);
  }

  #onAnswer(answer: Ok | ErrorMessage): void {
    const asked = typeof answer.id === 'number' ? this.open.get(answer.id) : undefined;
    if (asked === undefined) throw new Error(`an answer to nothing that was asked: ${JSON.stringify(answer)}`);
    this.open.delete(answer.id as number);
    this.#listener.onAnswer(this, answer, asked.dueMs, asked.question);
  }
}
