/**
 * One WebSocket of one viewer. Kept small: an idle viewer costs this object, its topics and nothing
 * else.
 */

import type { TokenBucket } from '../domain/token-bucket.ts';
import type { BroadcastGroup, TopicLane } from '../fanout/broadcast-groups.ts';
import { encodeFor } from '../fanout/frames.ts';
import { CLOSE, type CloseReason, type Failure, type Result } from '../protocol/codes.ts';
import type { Role, ServerMessage, Variant } from '../protocol/messages.ts';
import type { RequestId } from '../protocol/validate.ts';
import type { Member, MemberConnection } from '../rooms/members.ts';
import type { Position } from '../rooms/resume.ts';
import type { Room } from '../rooms/room.ts';
import { encodeReply, type Reply } from './replies.ts';
import type { WebSocket } from './uws.ts';

/** Who connected, as the token said. `user` null: a guest without one. */
export interface Identity {
  readonly user: string | null;
  readonly name: string | null;
  readonly role: Role;
  /**
   * Since the Unix epoch; null = never (guests). Milliseconds would be a heap number of its own for
   * every viewer.
   */
  readonly expiresAtSeconds: number | null;
}

/** Where a connection comes from, shared by all that do. */
export interface Source {
  readonly address: string;
  connections: number;
}

/**
 * `joining`: not welcomed yet. `live`: all lanes. `demoted`: too slow for chat, keeps events and
 * state. `closed`: over.
 */
export type Phase = 'joining' | 'live' | 'demoted' | 'closed';

/**
 * The server copies the fields of what it is given onto its own socket object, so the connection
 * travels in a field.
 */
export interface SocketData {
  readonly connection: Connection;
}

export const GUEST: Identity = Object.freeze({ user: null, name: null, role: 'guest', expiresAtSeconds: null });

export class Connection implements MemberConnection {
  readonly room: Room;
  readonly variant: Variant;
  readonly identity: Identity;
  readonly source: Source;
  phase: Phase = 'joining';
  member: Member | null = null;
  /** Where the client says it stands; used once, for its welcome. */
  position: Position | null;
  /** Made when first needed, so that silent viewers have none. */
  requestBucket: TokenBucket | null = null;
  chatBucket: TokenBucket | null = null;
  heartBucket: TokenBucket | null = null;
  inFlight = 0;
  badFrames = 0;
  /** The room's count of chat messages when this viewer left the chat lane. */
  chatSentAtDemotion = 0;
  /**
   * `chatKib` when it last proved that it reads, and when it was asked; -1 = it is not asked right
   * now.
   */
  provenKib = 0;
  askedKib = -1;
  /**
   * When it was asked last, in tenths of a second (a small integer is not a heap object of its own
   * for every viewer); at first long ago.
   */
  askedAt = -1_000_000;
  /** While the room opens: resolves when it serves, or could not be opened. */
  roomOpening: Promise<Result<null>> | null = null;
  /** Has the room been told of this listener? */
  entered = false;
  /** Place in the connection table. */
  index = -1;
  /** Answers that leave at the end of this turn of the loop. */
  outbox: Array<Uint8Array | string> | null = null;
  private socket: WebSocket<SocketData> | null = null;
  private seats: BroadcastGroup | null = null;

  constructor(room: Room, variant: Variant, identity: Identity, source: Source, position: Position | null) {
    this.room = room;
    this.variant = variant;
    this.identity = identity;
    this.source = source;
    this.position = position;
  }

  get open(): boolean {
    return this.socket !== null;
  }

  attach(socket: WebSocket<SocketData>): void {
    this.socket = socket;
  }

  /** The socket is gone; nothing is sent from here on. */
  detach(): void {
    this.socket = null;
    this.phase = 'closed';
  }

  /** Personal news. Before the welcome they are left out: the welcome will carry them. */
  send(bytes: Uint8Array): void {
    if (this.phase !== 'joining') this.write(bytes);
  }

  message(message: ServerMessage): void {
    this.write(encodeFor(this.variant, message));
  }

  /** After the answers that wait: whatever comes behind an answer must not overtake it. */
  write(data: Uint8Array | string): void {
    if (this.outbox !== null) this.flushOutbox();
    this.socket?.send(data, this.variant !== 'json', false);
  }

  /**
   * The one answer of a request. A socket that closed meanwhile gets none: its client repeats the
   * key on the next one.
   */
  reply(id: RequestId, at: number, result: Reply): void {
    if (this.socket !== null) this.write(encodeReply(this.variant, id, at, result));
  }

  refuse(id: RequestId | undefined, at: number, error: Failure): void {
    if (this.socket === null) return;
    this.message({ t: 'error', ...(id === undefined ? {} : { id }), at, ...error });
  }

  flushOutbox(): void {
    const answers = this.outbox;
    this.outbox = null;
    if (answers === null || this.socket === null) return;
    const [only] = answers;
    if (answers.length === 1 && only !== undefined) return this.write(only);
    this.cork(() => {
      for (const bytes of answers) this.write(bytes);
    });
  }

  /** Several messages in one write. */
  cork(send: () => void): void {
    this.socket?.cork(send);
  }

  /** Takes a seat in the room: from this moment on it gets what is published. */
  sit(): void {
    this.seats = this.room.groups.join(this.variant);
    this.provenKib = this.seats.chatKib;
  }

  /** Chat that was sent to its seats so far. */
  get chatKib(): number {
    return this.seats?.chatKib ?? 0;
  }

  /** The answer says that everything before it was read. */
  ping(): void {
    this.socket?.ping();
  }

  /** The server forgets the subscriptions of a closed socket by itself. */
  stand(): void {
    if (this.seats !== null) this.room.groups.leave(this.seats);
    this.seats = null;
  }

  /**
   * What was published but still waits for its turn of the loop is sent, before something that
   * comes after it.
   */
  settle(): void {
    if (this.seats !== null) this.room.groups.flush(this.seats);
  }

  subscribe(lane: TopicLane): void {
    if (this.seats !== null) this.socket?.subscribe(this.seats.topics[lane]);
  }

  unsubscribe(lane: TopicLane): void {
    if (this.seats !== null) this.socket?.unsubscribe(this.seats.topics[lane]);
  }

  bufferedBytes(): number {
    return this.socket?.getBufferedAmount() ?? 0;
  }

  /**
   * Closes with a code that tells the client what to do next. The close handler runs before this
   * returns.
   */
  end(reason: CloseReason): void {
    this.socket?.end(CLOSE[reason], reason);
  }

  /** Cuts the line without a word: for peers that take nothing any more. */
  cut(): void {
    this.socket?.close();
  }
}
