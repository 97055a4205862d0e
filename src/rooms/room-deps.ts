/** What rooms get from the node, and what the parts of a room share. */
import type { Logger } from 'pino';
import type { Clock } from '../domain/clock.ts';
import type { Health } from '../domain/health.ts';
import type { ReservationStore } from '../domain/reservation.ts';
import type { Scheduler } from '../domain/schedule.ts';
import type { ShowLog } from '../domain/show-log.ts';
import type { Rates } from '../domain/token-bucket.ts';
import type { Broadcaster } from '../fanout/broadcaster.ts';
import type { EncodeCounts } from '../fanout/frames.ts';
import type { ErrorCode } from '../protocol/codes.ts';
import type { MemberConnection } from './member.ts';
import type { ShowReplica } from './replica.ts';

export type RoomStore = ReservationStore & Scheduler & Health;

export interface NodeDeps {
  /** Id of this process. No other has the same, while two may have the same name. */
  readonly node: string;
  readonly store: RoomStore;
  readonly log: ShowLog;
  /** One for all rooms of a node. */
  readonly broadcaster: Broadcaster;
  readonly rates: Rates;
  readonly connectionsPerUserMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly encodes: EncodeCounts;
  /** Closes a connection, because its user has too many to this show. */
  readonly onSurplus: (connection: MemberConnection) => void;
  readonly onReserveBatch?: (size: number) => void;
  readonly onLocalRefusal?: (code: ErrorCode) => void;
  /** Called with the time from a flush until its writes were done. */
  readonly onFlush?: (lane: 'chat' | 'state', elapsedMs: number) => void;
  readonly onHearts?: (count: number) => void;
}

export interface RoomParts extends NodeDeps {
  readonly showId: string;
  readonly replica: ShowReplica;
  /** Redis time. */
  readonly now: () => number;
  readonly onCallbackError: (error: unknown) => void;
  /** The room may be in a wrong state: it synchronizes again. Other rooms go on. */
  readonly onUnexpected: (error: unknown) => void;
}
