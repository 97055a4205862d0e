/** The waitlist of a sold-out SKU: freed units are offered to its first entries as holds. */
export interface WaitlistRequest {
  readonly op: 'join' | 'leave';
  readonly user: string;
  readonly key: string;
  readonly sale: string;
  readonly sku: string;
  /** Units wanted, `join` only. */
  readonly qty?: number;
}

/** Position (1 = next; 0 after `leave`) and number of entries when the entry was made. */
export interface WaitlistResult {
  readonly place: number;
  readonly waiting: number;
  readonly replayed: boolean;
}
