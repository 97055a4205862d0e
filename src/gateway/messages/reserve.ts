/** `reserve`: refused from the replica where that is certain, otherwise decided by Redis. */
import type { Decision } from '../../domain/reservation.ts';
import { fail, ok, type Result } from '../../protocol/codes.ts';
import type { ClientMessage, Item, Role } from '../../protocol/messages.ts';
import type { Member } from '../../rooms/member.ts';
import type { RoomReserve } from '../../rooms/room-sales.ts';
import {
  Call,
  type Connection,
  type HandlerContext,
  type HandlerResult,
  REPLIES_LATER,
  type Reply,
} from './context.ts';

const BUYER_ROLES: ReadonlySet<Role> = new Set<Role>(['buyer', 'moderator', 'host']);
export const mayBuy = ({ identity }: Connection): boolean => BUYER_ROLES.has(identity.role);

export const NOT_A_BUYER = fail('forbidden', 'To buy, connect with a token whose role is buyer.');
export const DRAINING = fail(
  'draining',
  'This node is stopping: connect again and repeat the request with the same key.',
);

type ReserveMessage = Extract<ClientMessage, { t: 'reserve' }>;

/** The one object of a reserve: the batcher queues it and calls `onDecided` with the result. */
class ReserveCall extends Call implements RoomReserve {
  readonly member: Member;
  readonly key: string;
  readonly sale: string;
  readonly lines: readonly Item[];
  enqueuedMs = 0;

  constructor(
    context: HandlerContext,
    connection: Connection,
    member: Member,
    message: ReserveMessage,
    startedMs: number,
  ) {
    super(context, connection, message, startedMs);
    this.member = member;
    this.key = message.key;
    this.sale = message.sale;
    this.lines = message.lines;
  }

  get user(): string {
    return this.member.user;
  }

  onDecided(result: Result<Decision>): void {
    const { connection, member } = this;
    connection.room.sales.endReserve(member, connection, result);
    this.reply(decisionReply(result));
  }
}

export function onReserve(
  connection: Connection,
  message: ReserveMessage,
  context: HandlerContext,
  nowMs: number,
): HandlerResult {
  const { member, room } = connection;
  if (member === null || !mayBuy(connection)) return NOT_A_BUYER;
  if (context.draining()) return DRAINING;
  // In a rush nearly all requests end here, without a promise or a queue.
  const refusal = room.sales.refuseLocally(member, message.sale, message.lines);
  if (refusal !== null) return { ok: false, error: refusal };
  room.sales.reserve(new ReserveCall(context, connection, member, message, nowMs));
  return REPLIES_LATER;
}

/** Returns the reply of a decision, with how durably Redis keeps it. */
export function decisionReply(result: Result<Decision>): Reply {
  if (!result.ok) return result;
  const { reservation, replayed, durability, epoch } = result.value;
  return ok(replayed ? { reservation, replayed, durability, epoch } : { reservation, durability, epoch });
}
