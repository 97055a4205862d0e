/** One WebSocket of one viewer. An idle viewer costs this object, its state and two topics. */
import type { TokenBucket } from '../domain/token-bucket.ts';
import type { BroadcastGroup, TopicLane } from '../fanout/broadcast-groups.ts';
import { encodeFor } from '../fanout/frames.ts';
import { CLOSE, type CloseReason, type Failure, type Result } from '../protocol/codes.ts';
import type { Role, ServerMessage, Variant } from '../protocol/messages.ts';
import type { RequestId } from '../protocol/validate.ts';
import type { Member, MemberConnection } from '../rooms/member.ts';
import type { Position } from '../rooms/resume.ts';
import type { Room } from '../rooms/room.ts';
import { encodeReply, type Reply } from './replies.ts';
import type { WebSocket } from './uws.ts';

/** The viewer, as the token says. */
export interface Identity {
  /** Null for guests, who have no token. */
  readonly user: string | null;
  readonly name: string | null;
  readonly role: Role;
  /** Since the Unix epoch; null for guests. Milliseconds would need a heap number per viewer. */
  readonly expiresAtSeconds: number | null;
}

export const GUEST: Identity = Object.freeze({ user: null, name: null, role: 'guest', expiresAtSeconds: null });

/** A client address, shared by its connections. */
export interface Source {
  readonly address: string;
  connections: number;
}

/** A client that gets the reason for its refusal after the upgrade. It enters no room. */
export interface Refusal {
  readonly variant: Variant;
  readonly error: Failure;
  readonly source: Source;
}

/** uWebSockets.js copies these fields onto its socket object, hence so few. */
export type SocketData = { readonly connection: Connection } | { readonly connection: null; readonly refusal: Refusal };

/** The last ping that asked whether the viewer reads. `sentAt`: in units of `PING_TIME_UNIT_MS`. */
export type ReadPing =
  | { readonly state: 'none' }
  | { readonly state: 'pending'; readonly chatKib: number; readonly sentAt: number }
  | { readonly state: 'received'; readonly sentAt: number };

const NO_READ_PING: ReadPing = Object.freeze({ state: 'none' });

interface Subscription {
  readonly group: BroadcastGroup;
  /** `group.chatKib` when the viewer joined, or as of the last ping that it returned. */
  readChatKib: number;
  readPing: ReadPing;
}

/** The room is loading. The viewer has not entered it. */
interface Opening {
  readonly phase: 'opening';
  readonly roomOpened: Promise<Result<null>>;
  readonly position: Position | null;
}
/** The welcome is being prepared. `position`: the last event the client has. */
interface Joining {
  readonly phase: 'joining';
  readonly position: Position | null;
}
/** Subscribed to all lanes. */
export interface Live extends Subscription {
  readonly phase: 'live';
}
/** Too slow for chat: subscribed to events and state only. */
interface Demoted extends Subscription {
  readonly phase: 'demoted';
  /** The room's count of chat messages when this viewer left the chat lane. */
  readonly chatSentAtDemotion: number;
}
interface Closed {
  readonly phase: 'closed';
}

export type ConnectionState = Opening | Joining | Live | Demoted | Closed;

const CLOSED: Closed = Object.freeze({ phase: 'closed' });

export class Connection implements MemberConnection {
  readonly room: Room;
  readonly variant: Variant;
  /** A `refresh` replaces it; the user stays. */
  identity: Identity;
  readonly source: Source;
  state: ConnectionState;
  member: Member | null = null;
  /** Created on first use: most viewers only watch. */
  requestBucket: TokenBucket | null = null;
  /** Messages beyond the rate. */
  excessBucket: TokenBucket | null = null;
  chatBucket: TokenBucket | null = null;
  heartBucket: TokenBucket | null = null;
  /** Bytes of missed events and snapshots. */
  bulkBucket: TokenBucket | null = null;
  inFlight = 0;
  badFrames = 0;
  /** Position in the connection table. */
  index = 0;
  /** Replies that are written at the end of this turn of the event loop. */
  outbox: Array<Uint8Array | string> | null = null;
  private socket: WebSocket<SocketData> | null = null;

  constructor(
    room: Room,
    variant: Variant,
    identity: Identity,
    source: Source,
    position: Position | null,
    roomOpened: Promise<Result<null>> | null,
  ) {
    this.room = room;
    this.variant = variant;
    this.identity = identity;
    this.source = source;
    this.state = roomOpened === null ? { phase: 'joining', position } : { phase: 'opening', roomOpened, position };
  }

  get isOpen(): boolean {
    return this.socket !== null;
  }

  attach(socket: WebSocket<SocketData>): void {
    this.socket = socket;
  }

  /** Enters the room. Personal messages arrive through `member` from now on. */
  enterRoom(): void {
    if (this.state.phase === 'opening') this.state = { phase: 'joining', position: this.state.position };
    this.member = this.room.enter(this, this.identity.user);
  }

  joinBroadcastGroup(): void {
    const group = this.room.groups.join(this.variant);
    this.state = { phase: 'live', group, readChatKib: group.chatKib, readPing: NO_READ_PING };
  }

  /** Unsubscribes a slow viewer from chat. */
  demote(): void {
    if (this.state.phase !== 'live') return;
    const { group, readChatKib, readPing } = this.state;
    this.flushPendingFrames();
    this.unsubscribe('chat');
    const chatSentAtDemotion = this.room.chatLane.sentCount;
    this.state = { phase: 'demoted', group, readChatKib, readPing, chatSentAtDemotion };
  }

  /** Subscribes a demoted viewer to chat again and reports how many messages it missed. */
  restore(): void {
    if (this.state.phase !== 'demoted') return;
    const { group, readChatKib, readPing, chatSentAtDemotion } = this.state;
    this.flushPendingFrames();
    const missed = this.room.chatLane.sentCount - chatSentAtDemotion;
    this.state = { phase: 'live', group, readChatKib, readPing };
    this.subscribe('chat');
    this.write(this.room.resumer.restoration(missed).in(this.variant));
  }

  /** The socket has closed. uWebSockets.js has removed its subscriptions. */
  detach(): void {
    const { room, state } = this;
    this.socket = null;
    this.state = CLOSED;
    if ('group' in state) room.groups.leave(state.group);
    if (state.phase !== 'opening') room.leave(this, this.member);
  }

  /** Sends a personal message. Before the welcome it is dropped: the welcome contains it. */
  send(bytes: Uint8Array): void {
    if (this.state.phase !== 'joining') this.write(bytes);
  }

  sendMessage(message: ServerMessage): void {
    this.write(encodeFor(this.variant, message));
  }

  /** Flushes pending replies first, so that `data` does not overtake them. */
  write(data: Uint8Array | string): void {
    if (this.outbox !== null) this.flushOutbox();
    this.socket?.send(data, this.variant !== 'json', false);
  }

  /** Sends the reply to a request. If the socket has closed, the client repeats the key. */
  reply(id: RequestId, at: number, result: Reply): void {
    if (this.socket !== null) this.write(encodeReply(this.variant, id, at, result));
  }

  replyError(id: RequestId | undefined, at: number, error: Failure): void {
    if (this.socket === null) return;
    this.sendMessage({ t: 'error', ...(id === undefined ? {} : { id }), at, ...error });
  }

  flushOutbox(): void {
    const replies = this.outbox;
    this.outbox = null;
    if (replies === null || this.socket === null) return;
    const [only] = replies;
    if (replies.length === 1 && only !== undefined) return this.write(only);
    this.cork(() => {
      for (const bytes of replies) this.write(bytes);
    });
  }

  /** Sends several messages with one system call. */
  cork(send: () => void): void {
    this.socket?.cork(send);
  }

  ping(): void {
    this.socket?.ping();
  }

  /** Sends published frames that are still queued, before a message that must follow them. */
  flushPendingFrames(): void {
    if ('group' in this.state) this.room.groups.flush(this.state.group);
  }

  subscribe(lane: TopicLane): void {
    if ('group' in this.state) this.socket?.subscribe(this.state.group.topics[lane]);
  }

  private unsubscribe(lane: TopicLane): void {
    if ('group' in this.state) this.socket?.unsubscribe(this.state.group.topics[lane]);
  }

  bufferedBytes(): number {
    return this.socket?.getBufferedAmount() ?? 0;
  }

  /** Closes with the code of `reason`. The close handler runs before this returns. */
  close(reason: CloseReason): void {
    this.socket?.end(CLOSE[reason], reason);
  }

  /** Closes without a close frame. The close handler runs before this returns. */
  terminate(): void {
    this.socket?.close();
  }
}
