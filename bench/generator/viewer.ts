/** The connection of a virtual user. One listener serves thousands of viewers. */
import { CODECS } from '../../src/protocol/codec.ts';
import type { Bye, ErrorMessage, Ok, ServerMessage, Variant, Welcome, You } from '../../src/protocol/messages.ts';
import type { GatewayAddress } from '../scenarios/target.ts';
import type { Reply, UserRequest } from '../users/buyer.ts';
import { sourceAddress } from './access.ts';
import { decode, type FrameCache, type FrameFacts, kindOf } from './frame-cache.ts';
import { emitDueWork } from './schedule.ts';
import { binaryFrame, RawSocket, textFrame } from './websocket.ts';

/** What all viewers of a room share. `gateway` is where they connect next. */
export type Room = Readonly<{ show: string; variant: Variant; frames: FrameCache }> & { gateway: GatewayAddress };

/** `dueMs`: when the join or the request was due. Messages are only valid during the call. */
export interface ViewerListener {
  onWelcome(viewer: Viewer, welcome: Welcome): void;
  /** A broadcast of `bytes` payload; gaps have been counted already. */
  onFrame(viewer: Viewer, facts: FrameFacts, bytes: number): void;
  /** The reply to `send`. */
  onReply(viewer: Viewer, reply: Ok | ErrorMessage, dueMs: number, request: UserRequest): void;
  onYou?(viewer: Viewer, message: You): void;
  onBye?(viewer: Viewer, message: Bye): void;
  /** Close code, HTTP status of a refused upgrade, or 1006. Not called after `leave`. */
  onClose(viewer: Viewer, code: number): void;
}

interface OpenRequest {
  readonly dueMs: number;
  readonly request: UserRequest;
  /** Of `request`; null: the reply goes to the listener. */
  readonly resolve: ((reply: Reply) => void) | null;
}

/** After so many received messages, work that became due is emitted. */
const MESSAGES_BETWEEN_EMITS = 16;
let messages = 0;

export class Viewer {
  readonly userIndex: number;
  /** Null: joins as a guest. */
  token: string | null = null;
  /** When this connection was due. */
  dueMs = 0;
  welcomed = false;
  /** The position that a reconnect resumes from. */
  epoch = '';
  offset = 0;
  chatId = 0;
  /** Events and chat messages that never came and were not announced as missed. */
  eventGaps = 0;
  chatGaps = 0;
  readonly open = new Map<number, OpenRequest>();
  #socket: RawSocket | null = null;
  #nextId = 1;
  readonly #room: Room;
  readonly #listener: ViewerListener;

  constructor(userIndex: number, room: Room, listener: ViewerListener) {
    this.userIndex = userIndex;
    this.#room = room;
    this.#listener = listener;
  }

  get connected(): boolean {
    return this.#socket !== null;
  }

  /** Joins, or resumes from the position of the last connection. */
  join(dueMs: number): void {
    const { token } = this;
    const { gateway, show, variant } = this.#room;
    this.dueMs = dueMs;
    this.welcomed = false;
    const position =
      this.epoch === '' ? '' : `?epoch=${encodeURIComponent(this.epoch)}&offset=${this.offset}&chat=${this.chatId}`;
    const localAddress = sourceAddress(gateway.host, this.userIndex);
    const socket: RawSocket = new RawSocket(
      {
        host: gateway.host,
        port: gateway.port,
        path: `${gateway.pathPrefix}/v1/shows/${show}${position}`,
        protocols: [`stampede.v1.${variant}`, ...(token === null ? [] : [`token.${token}`])],
        ...(gateway.tls === undefined ? {} : { tls: gateway.tls }),
        ...(localAddress === undefined ? {} : { localAddress }),
      },
      {
        onMessage: (payload, binary) => this.#receive(payload, binary),
        onClose: (code) => {
          if (this.#socket !== socket) return;
          this.#socket = null;
          this.#listener.onClose(this, code);
        },
      },
    );
    this.#socket = socket;
  }

  /** Sends a request whose reply goes to `onReply`. False when there is no connection. */
  send(request: UserRequest, dueMs: number): boolean {
    return this.#sendRequest({ dueMs, request, resolve: null });
  }

  /** Sends a request and resolves with its reply; `lost` when there is no connection. */
  request(request: UserRequest, dueMs: number): Promise<Reply> {
    return new Promise((resolve) => {
      if (!this.#sendRequest({ dueMs, request, resolve })) resolve(LOST);
    });
  }

  #sendRequest(open: OpenRequest): boolean {
    if (this.#socket === null) return false;
    const id = this.#nextId++;
    this.open.set(id, open);
    this.#write({ ...open.request, id });
    return true;
  }

  /** Sends a message that has no reply (hearts without an id). */
  notify(message: UserRequest): boolean {
    if (this.#socket === null) return false;
    this.#write(message);
    return true;
  }

  /** Forgets the open requests: their outcome is unknown. Returns how many there were. */
  loseRequests(): number {
    const lost = [...this.open.values()];
    this.open.clear();
    for (const { resolve } of lost) resolve?.(LOST);
    return lost.length;
  }

  /** Stops reading, as a phone in a tunnel does. */
  stall(): void {
    this.#socket?.pause();
  }

  unstall(): void {
    this.#socket?.resume();
  }

  /** Closes the connection without a close frame. The position is kept. */
  leave(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.welcomed = false;
    socket?.destroy();
  }

  #write(message: UserRequest): void {
    const data = CODECS[this.#room.variant].encode(message as never);
    this.#socket?.sendFrames(typeof data === 'string' ? textFrame(data) : binaryFrame(data));
  }

  #receive(payload: Buffer, binary: boolean): void {
    if (this.#socket === null) return;
    if (++messages % MESSAGES_BETWEEN_EMITS === 0) emitDueWork();
    const kind = kindOf(payload, binary);
    // The kind of a compressed message is not known before it is inflated. All of them but the
    // welcome are broadcasts.
    if (kind === 'frame' || (kind === null && this.welcomed)) {
      const facts = this.#room.frames.facts(payload, binary);
      if (facts !== null) return void this.#onFrame(facts, payload.length);
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
    if (message.t === 'welcome') this.#onWelcome(message);
    else if (message.t === 'ok' || message.t === 'error') this.#onReply(message);
    else if (message.t === 'you') this.#listener.onYou?.(this, message);
    else if (message.t === 'bye') this.#listener.onBye?.(this, message);
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

  #onReply(reply: Ok | ErrorMessage): void {
    const open = typeof reply.id === 'number' ? this.open.get(reply.id) : undefined;
    if (open === undefined) throw new Error(`a reply to no open request: ${JSON.stringify(reply)}`);
    this.open.delete(reply.id as number);
    if (open.resolve !== null) open.resolve(reply);
    else this.#listener.onReply(this, reply, open.dueMs, open.request);
  }
}

const LOST: Reply = { t: 'lost' };
