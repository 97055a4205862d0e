/**
 * What the people of a show can be told to do. The host (the scenario) gives orders, every worker
 * carries them out for its own people. Plain data: it travels.
 */
import type { WireVariant } from '../scenarios/common-flags.ts';
import type { Access, Gate } from '../scenarios/target.ts';
import type { Evidence } from '../verdict/evidence.ts';

export interface EveningParams {
  readonly gate: Gate;
  readonly access: Access;
  readonly show: string;
  readonly variant: WireVariant;
  /** In all workers together; person i belongs to worker i mod the number of workers. */
  readonly people: number;
  /** Every so many-th person measures the delivery of each chat message. */
  readonly measureEvery: number;
  /**
   * Set their clocks after joining (four exchanges each), as everybody must who sees a countdown.
   */
  readonly clocks: boolean;
}

/** Moments are on the fleet's clock. People are numbered; a worker takes those that are its own. */
export type EveningCommand =
  /**
   * People `from` to `to` (exclusive) come: evenly over the time, or ever faster (`ramp`), or ever
   * slower (`fade`, as after an announcement).
   */
  | {
      readonly do: 'join';
      readonly atMs: number;
      readonly from: number;
      readonly to: number;
      readonly overMs: number;
      readonly shape: 'even' | 'ramp' | 'fade';
    }
  /** This worker's part of the chat: offsets from `atMs`, and what is said. */
  | {
      readonly do: 'talk';
      readonly atMs: number;
      readonly messages: ReadonlyArray<readonly [offsetMs: number, text: string]>;
    }
  | { readonly do: 'hearts'; readonly atMs: number; readonly perSecond: number; readonly forMs: number }
  | Press
  /** People `from` to `to` (exclusive) go home. */
  | { readonly do: 'leave'; readonly from: number; readonly to: number }
  /** This share of the people stops reading for a while: phones in a tunnel. */
  | { readonly do: 'stall'; readonly atMs: number; readonly share: number; readonly forMs: number }
  /**
   * This share loses its line within `overMs`, stays away for `awayMs` and comes back, with its
   * position, within `backMs` after that.
   */
  | {
      readonly do: 'drop';
      readonly atMs: number;
      readonly share: number;
      readonly overMs: number;
      readonly awayMs: number;
      readonly backMs: number;
    };

/**
 * Buyers 0 to `buyers` (exclusive) press at zero by their own clocks, each once, within the time
 * people take to react.
 */
export interface Press {
  readonly do: 'press';
  readonly sale: string;
  readonly skus: readonly string[];
  /** Server time. */
  readonly opensAt: number;
  readonly buyers: number;
  readonly withinMs: number;
  readonly perBuyer: number;
  /**
   * Shares of the buyers: who press before it opens, who send their request twice, who give back
   * what they got.
   */
  readonly early: number;
  readonly twice: number;
  readonly regret: number;
}

/** From the workers: what was granted, for the payment desk. */
export interface Granted {
  readonly granted: ReadonlyArray<readonly [reservation: string, user: string, amount: number]>;
}

/** What a worker tells when it stops. */
export interface EveningSummary {
  readonly evidence: Evidence;
  readonly rushes: readonly Rush[];
  /** When the last of those whose line broke had their place back; 0 when nobody's did. */
  readonly lastResumeMs: number;
}

/** The presses of one sale, fleet clock: those due at zero and after, not the early ones. */
export interface Rush {
  readonly sale: string;
  readonly answers: number;
  readonly accepted: number;
  readonly firstDueMs: number;
  readonly lastAnswerMs: number;
}
