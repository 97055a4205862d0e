/** Commands of the host (the scenario) for the virtual users of all workers. Plain data. */
import type { WorkloadContext } from '../generator/contract.ts';
import type { GroupParams } from '../generator/viewer-group.ts';
import type { GatewayAddress } from '../scenarios/target.ts';
import type { Granted } from '../users/checkout.ts';
import type { Evidence } from '../verdict/evidence.ts';

export interface EveningParams extends GroupParams {
  /** Users set their clocks after joining, as clients must that show a countdown. */
  readonly clocks: boolean;
}

export type JoinShape = 'even' | 'ramp' | 'fade';

/** Times are on the fleet's clock. Ranges of users exclude `to`. */
export type EveningCommand =
  | Readonly<{ do: 'join'; atMs: number; from: number; to: number; overMs: number; shape: JoinShape }>
  /** This worker's part of the chat: offsets from `atMs`, and texts. */
  | Readonly<{ do: 'chat'; atMs: number; messages: ReadonlyArray<readonly [offsetMs: number, text: string]> }>
  | { readonly do: 'hearts'; readonly atMs: number; readonly perSecond: number; readonly forMs: number }
  | PressCommand
  /** Connects to this node from now on. */
  | { readonly do: 'move'; readonly gateway: GatewayAddress }
  | { readonly do: 'leave'; readonly from: number; readonly to: number }
  /** This share of the users stops reading for a while, as phones in a tunnel do. */
  | { readonly do: 'stall'; readonly atMs: number; readonly share: number; readonly forMs: number }
  /** This share disconnects within `overMs`, and resumes `awayMs` to `awayMs + backMs` later. */
  | Readonly<{ do: 'drop'; atMs: number; share: number; overMs: number; awayMs: number; backMs: number }>;

/** Buyers 0 to `buyers` press at zero by their own clocks, within the reaction time `withinMs`. */
export interface PressCommand {
  readonly do: 'press';
  readonly sale: string;
  readonly skus: readonly string[];
  /** Server time. */
  readonly opensAt: number;
  readonly buyers: number;
  readonly withinMs: number;
  readonly perBuyer: number;
  /** Shares of the buyers that also press before the opening, press twice, release their hold. */
  readonly early: number;
  readonly twice: number;
  readonly regret: number;
}

export type EveningContext = WorkloadContext<EveningParams, GrantReport>;
export type GrantReport = { readonly granted: readonly Granted[] };

export interface EveningSummary {
  readonly evidence: Evidence;
  readonly rushes: readonly Rush[];
  /** When the last user resumed whose connection broke; 0 when there was none. */
  readonly lastResumeMs: number;
}

/** The presses of one sale that were due at zero, fleet clock. */
export interface Rush {
  readonly sale: string;
  readonly replies: number;
  readonly accepted: number;
  readonly firstDueMs: number;
  readonly lastReplyMs: number;
}
