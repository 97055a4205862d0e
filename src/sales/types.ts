/** Shapes of shows, sales and reservations as the rules and the store hand them around. No I/O here. */
import type {
  Brand,
  EventType,
  Line,
  Product,
  ReservationView,
  SaleState,
  SaleView,
  ShowEvent,
  ShowState,
  ShowView,
  Sku,
  WaitView,
} from '../protocol/messages.ts';

export type { Brand, EventType, Line, Product, ReservationView, SaleState, SaleView, ShowEvent, ShowState, ShowView, Sku };

/** Who caused a change, for the ledger: `host:<api key name>`, `user:<id>`, `job`, `node:<id>`. */
export type Actor = string;

/** Every command that changes stock carries a key (promise I4). */
export interface CommandMeta {
  readonly key: string;
  readonly actor: Actor;
  /** Called before the command resolves when its answer is the recorded one of an earlier command with this key. */
  readonly onReplayed?: () => void;
}

export interface ShowSpec {
  id?: string;
  title: string;
  startsAt?: number | null;
  guests?: boolean;
  slowModeMs?: number;
  chatShownPerSecond?: number;
  brands?: Brand[];
}

export type ShowPatch = Partial<Pick<ShowSpec, 'title' | 'startsAt' | 'guests' | 'slowModeMs' | 'chatShownPerSecond' | 'brands'>>;

/** Who may not chat until when, on the Redis clock. */
export interface Mute {
  user: string;
  until: number;
}

/** A chat message as a host sees it: with its author. */
export interface ChatLine {
  id: number;
  at: number;
  user: string;
  name: string;
  text: string;
  /** 0 none, 1 buyer with an order, 2 moderator, 3 host. */
  mark: number;
}

export interface AudienceNumbers {
  viewers: number;
  peak: number;
  /** Different people with a token so far, estimated: standard error 0.81 %. */
  unique: number;
  hearts: number;
}

export interface SaleSkuSpec {
  sku: string;
  product: string;
  price: number;
  quantity: number;
  perBuyer?: number;
}

/** The window is absolute (`opensAt`, `closesAt`) or relative to the Redis clock at creation (`opensInMs`, `durationMs`). */
export interface SaleSpec {
  id?: string;
  title: string;
  currency: string;
  perBuyer?: number;
  holdMs?: number;
  opensAt?: number;
  opensInMs?: number;
  closesAt?: number;
  durationMs?: number;
  skus: SaleSkuSpec[];
}

/** The books of one SKU of a sale. I1: available + held + sold + withdrawn = allocated, each >= 0. */
export interface SkuBooks {
  sku: string;
  product: string;
  price: number;
  perBuyer?: number;
  allocated: number;
  available: number;
  held: number;
  sold: number;
  withdrawn: number;
}

/** A sale as its host sees it: the view plus the books. */
export interface SaleBooks extends Omit<SaleView, 'skus'> {
  skus: SkuBooks[];
  createdAt: number;
  openedAt: number | null;
  endedAt: number | null;
}

/** A host's move of a sale; `src/README.md` draws the state machine. */
export type SaleMove =
  | { op: 'schedule'; opensAt?: number; opensInMs?: number; closesAt?: number; durationMs?: number }
  | { op: 'open'; durationMs?: number }
  | { op: 'pause' }
  | { op: 'resume' }
  | { op: 'extend'; byMs: number }
  /** Open holds may still be confirmed until they lapse. */
  | { op: 'end' }
  /** Open holds are released at once. */
  | { op: 'cancel' }
  /** Positive adds units, negative withdraws free ones. */
  | { op: 'units'; sku: string; delta: number };

export interface ReserveRequest {
  readonly user: string;
  readonly key: string;
  readonly sale: string;
  readonly lines: readonly Line[];
}

export interface WaitlistRequest {
  readonly op: 'join' | 'leave';
  readonly user: string;
  readonly key: string;
  readonly sale: string;
  readonly sku: string;
  /** Units wanted, `join` only. */
  readonly qty?: number;
}

/** Where a `join` put the buyer when it was made (1 = next) and how many were in line; place 0 after `leave`. */
export interface WaitlistAnswer {
  readonly place: number;
  readonly waiting: number;
  readonly replayed: boolean;
}

/** What one buyer holds and owns, and waits for, in a show. */
export interface Standing {
  readonly reservations: ReservationView[];
  readonly waits: WaitView[];
  /** Sales in which this buyer ever held or waited for something: a key they repeat there may have a recorded answer. */
  readonly sales: string[];
}

/** An accepted decision. `replayed` = the key was known and this is the recorded answer again. */
export interface Decision {
  readonly reservation: ReservationView;
  readonly replayed: boolean;
  /** How durably Redis keeps it, and the epoch of the show's log it belongs to: a later epoch means that another server took over since. */
  readonly durability: Durability;
  readonly epoch: string;
}

export interface ConfirmRequest {
  readonly reservation: string;
  readonly orderRef: string;
  /** What was actually charged, minor units; must equal the reservation's amount. */
  readonly amount: number;
}

export type Durability = 'memory' | 'everysec' | 'always' | 'unknown';

/** What a ledger replay found; `violations` is empty when the books are right. */
export interface Verification {
  show: string;
  entries: number;
  reservations: number;
  /** Given by Redis, each judged by the replay. */
  refusals: number;
  /** Given by gateways from their view of the sale, as they reported them. */
  localRefusals: number;
  sales: Array<{ id: string; skus: SkuBooks[] }>;
  violations: string[];
}

/** What a reconciliation did. */
export interface Reconciliation extends Verification {
  /** Books brought back to the ledger, as `sale/sku`. */
  repaired: string[];
  /** Sales whose ledger contradicts itself; they stay paused. */
  untrusted: string[];
}
