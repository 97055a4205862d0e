/** Verification and repair of a show's books from its ledger. */
import type { Result } from '../protocol/codes.ts';
import type { Actor } from './command.ts';
import type { SkuBooks } from './sale.ts';

/** What a ledger replay found; `violations` is empty if the books are right. */
export interface Verification {
  show: string;
  entries: number;
  reservations: number;
  /** Refusals by Redis; the replay checks those that the ledger has in full. */
  refusals: number;
  /** Local refusals by gateways, as they reported them. */
  localRefusals: number;
  sales: Array<{ id: string; skus: SkuBooks[] }>;
  violations: string[];
}

/** What a reconciliation did. */
export interface Reconciliation extends Verification {
  /** Books that were set to what the ledger says, as `sale/sku`. */
  repaired: string[];
  /** Sales whose ledger contradicts itself or whose records cannot be read; paused if possible. */
  untrusted: string[];
  /** Untrusted sales that could not be paused, with the reason. */
  unpaused: Array<{ sale: string; reason: string }>;
}

export interface Auditor {
  /** Replays the show's ledger from its first entry and compares the result with the live books. */
  verify(showId: string): Promise<Result<Verification>>;
  /** Verifies and repairs books by compensating entries. Pauses contradictory sales. */
  reconcile(showId: string, actor: Actor): Promise<Result<Reconciliation>>;
}
