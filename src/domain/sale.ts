/** Flash sales: SKUs at a price, a quantity, a per-buyer limit and a time window. */
import { LIMITS } from '../limits.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import type { SaleState, SaleView } from '../protocol/messages.ts';
import type { CommandMeta } from './command.ts';
import { Mistakes } from './mistakes.ts';

const CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));

/** Absolute times, or relative to the Redis clock at creation (`opensInMs`, `durationMs`). */
interface SaleWindow {
  opensAt?: number;
  opensInMs?: number;
  closesAt?: number;
  durationMs?: number;
}

export interface SaleSkuSpec {
  sku: string;
  product: string;
  price: number;
  quantity: number;
  perBuyer?: number;
}

export interface SaleSpec extends SaleWindow {
  id?: string;
  title: string;
  currency: string;
  perBuyer?: number;
  holdMs?: number;
  skus: SaleSkuSpec[];
}

/** The books of one SKU. I1: available + held + sold + withdrawn = allocated, each >= 0. */
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

/** Returns the books of a SKU before its first unit. A limit of 0 is none. */
export const emptyBooks = (sku: string, product: string, price = 0, perBuyer = 0): SkuBooks => ({
  ...{ sku, product, price, ...(perBuyer > 0 ? { perBuyer } : {}) },
  ...{ allocated: 0, available: 0, held: 0, sold: 0, withdrawn: 0 },
});

/** A sale as its host sees it: the view plus the books. */
export interface SaleBooks extends Omit<SaleView, 'skus'> {
  skus: SkuBooks[];
  createdAt: number;
  openedAt: number | null;
  endedAt: number | null;
}

/** A host's transition of a sale; `src/README.md` draws the state machine. */
export type SaleMove =
  | ({ op: 'schedule' } & SaleWindow)
  | { op: 'open'; durationMs?: number }
  | { op: 'pause' }
  | { op: 'resume' }
  | { op: 'extend'; byMs: number }
  /** Open holds may still be confirmed until they expire. */
  | { op: 'end' }
  /** Open holds are released at once. */
  | { op: 'cancel' }
  /** A positive delta adds units, a negative one withdraws available ones. */
  | { op: 'units'; sku: string; delta: number };

/** A change of a draft. What is missing stays as it is. */
export interface SaleEdit {
  title?: string;
  holdMs?: number;
  closesAt?: number;
  durationMs?: number;
  /** `quantity`: free units. */
  skus?: Array<{ sku: string; price?: number; quantity?: number }>;
  /** Removed first: a SKU in both lists is replaced. */
  removeSkus?: string[];
  addSkus?: SaleSkuSpec[];
}

export interface SaleStore {
  createSale(showId: string, spec: SaleSpec, command: CommandMeta): Promise<Result<SaleBooks>>;
  getSale(showId: string, saleId: string): Promise<Result<SaleBooks>>;
  /** Leaves out sales that cannot be read, or a SKU of which cannot, and names them. */
  listSales(showId: string, onUnreadable?: (id: string) => void): Promise<Result<SaleBooks[]>>;
  /** Changes a draft. */
  editSale(showId: string, saleId: string, edit: SaleEdit, command: CommandMeta): Promise<Result<SaleBooks>>;
  /** Cancels a draft and hides it. Its id stays in use. */
  deleteSale(showId: string, saleId: string, command: CommandMeta): Promise<Result<SaleBooks>>;
  moveSale(showId: string, saleId: string, move: SaleMove, command: CommandMeta): Promise<Result<SaleBooks>>;
}

export const isOver = (state: SaleState): boolean => state === 'ended' || state === 'cancelled';

export const NOT_A_CURRENCY = 'Must be an ISO 4217 currency code such as EUR.';
export const isCurrency = (code: string): boolean => CURRENCIES.has(code);

/**
 * Rules about time only become more lenient as time passes: a command that is repeated with its key
 * hours later must reach its recorded result. Rules that depend on the state of a sale are checked
 * by the script that changes it.
 */
export function checkSaleSpec(spec: SaleSpec, nowMs: number, holdMaxMs = LIMITS.holdMaxDefaultMs): Failure | null {
  const mistakes = new Mistakes();
  if (spec.id !== undefined) mistakes.id('/id', spec.id);
  mistakes.text('/title', spec.title, LIMITS.titleCharsMax);
  if (!isCurrency(spec.currency)) mistakes.add('/currency', NOT_A_CURRENCY);
  if (spec.perBuyer !== undefined) mistakes.integer('/perBuyer', spec.perBuyer, 1, LIMITS.perBuyerUnitsMax);
  if (spec.holdMs !== undefined) mistakes.integer('/holdMs', spec.holdMs, LIMITS.holdMinMs, holdMaxMs);
  checkWindow(mistakes, spec, nowMs);
  if (spec.skus.length < 1 || spec.skus.length > LIMITS.skusPerSaleMax)
    mistakes.add('/skus', `Must hold 1 to ${LIMITS.skusPerSaleMax} SKUs.`);
  for (const [index, sku] of spec.skus.entries()) checkSaleSku(mistakes, `/skus/${index}`, sku, spec.perBuyer);
  mistakes.unique(
    '/skus',
    spec.skus.map(({ sku }) => sku),
  );
  if (mistakes.none && totalPrice(spec.skus) > BigInt(Number.MAX_SAFE_INTEGER)) {
    const most = Number.MAX_SAFE_INTEGER;
    mistakes.add(
      '/skus',
      `Price times quantity over all SKUs must stay below ${most} minor units: sums must be exact.`,
    );
  }
  return mistakes.failure();
}

export function checkSaleEdit(edit: SaleEdit, nowMs: number, holdMaxMs: number): Failure | null {
  const mistakes = new Mistakes();
  const { title, holdMs, closesAt, durationMs, skus = [], addSkus = [], removeSkus = [] } = edit;
  if (title !== undefined) mistakes.text('/title', title, LIMITS.titleCharsMax);
  if (holdMs !== undefined) mistakes.integer('/holdMs', holdMs, LIMITS.holdMinMs, holdMaxMs);
  checkWindow(
    mistakes,
    { ...(closesAt === undefined ? {} : { closesAt }), ...(durationMs === undefined ? {} : { durationMs }) },
    nowMs,
  );
  for (const [i, { sku, price, quantity }] of skus.entries()) {
    mistakes.sku(`/skus/${i}/sku`, sku);
    if (price !== undefined) mistakes.integer(`/skus/${i}/price`, price, 0, LIMITS.priceMinorUnitsMax);
    if (quantity !== undefined) mistakes.integer(`/skus/${i}/quantity`, quantity, 1, LIMITS.unitsPerSkuMax);
  }
  for (const [i, sku] of addSkus.entries()) checkSaleSku(mistakes, `/addSkus/${i}`, sku, undefined);
  for (const [i, sku] of removeSkus.entries()) mistakes.sku(`/removeSkus/${i}`, sku);
  const lists = { skus: skus.map(({ sku }) => sku), addSkus: addSkus.map(({ sku }) => sku), removeSkus };
  for (const [name, list] of Object.entries(lists)) mistakes.unique(`/${name}`, list);
  return mistakes.failure();
}

export function checkSaleMove(move: SaleMove, nowMs: number): Failure | null {
  const mistakes = new Mistakes();
  switch (move.op) {
    case 'schedule':
      if (move.opensAt === undefined && move.opensInMs === undefined)
        mistakes.add('', 'Say when the sale opens: give opensAt or opensInMs.');
      checkWindow(mistakes, move, nowMs);
      break;
    case 'open':
      checkDuration(mistakes, move.durationMs);
      break;
    case 'extend':
      mistakes.integer('/byMs', move.byMs, 1, LIMITS.saleDurationMaxMs);
      break;
    case 'units':
      mistakes.sku('/sku', move.sku);
      mistakes.integer('/delta', move.delta, -LIMITS.unitsPerSkuMax, LIMITS.unitsPerSkuMax);
      if (move.delta === 0)
        mistakes.add('/delta', 'Must not be 0: a positive number adds units, a negative one withdraws available ones.');
      break;
    case 'pause':
    case 'resume':
    case 'end':
    case 'cancel':
      break;
    default:
      mistakes.add('/op', `There is no move ${JSON.stringify((move satisfies never as { op: unknown }).op)}.`);
  }
  return mistakes.failure();
}

function checkSaleSku(mistakes: Mistakes, path: string, sku: SaleSkuSpec, perBuyerOfSale: number | undefined): void {
  mistakes.sku(`${path}/sku`, sku.sku);
  mistakes.id(`${path}/product`, sku.product);
  mistakes.integer(`${path}/price`, sku.price, 0, LIMITS.priceMinorUnitsMax);
  mistakes.integer(`${path}/quantity`, sku.quantity, 1, LIMITS.unitsPerSkuMax);
  if (sku.perBuyer === undefined) return;
  mistakes.integer(`${path}/perBuyer`, sku.perBuyer, 1, LIMITS.perBuyerUnitsMax);
  if (perBuyerOfSale !== undefined && sku.perBuyer > perBuyerOfSale)
    mistakes.add(`${path}/perBuyer`, `Must not exceed the sale's own limit of ${perBuyerOfSale}.`);
}

/** Each end is given in one way only. The length is checked if both ends are absolute. */
function checkWindow(mistakes: Mistakes, window: SaleWindow, nowMs: number): void {
  const { opensAt, opensInMs, closesAt, durationMs } = window;
  const { saleDurationMinMs, saleDurationMaxMs } = LIMITS;
  if (opensAt !== undefined && opensInMs !== undefined)
    mistakes.add('/opensInMs', 'Give opensAt or opensInMs, not both.');
  if (closesAt !== undefined && durationMs !== undefined)
    mistakes.add('/durationMs', 'Give closesAt or durationMs, not both.');
  if (opensAt !== undefined) mistakes.moment('/opensAt', opensAt, nowMs);
  if (opensInMs !== undefined) mistakes.integer('/opensInMs', opensInMs, 0, LIMITS.saleLeadTimeMaxMs);
  if (closesAt !== undefined) mistakes.moment('/closesAt', closesAt, nowMs, saleDurationMaxMs);
  checkDuration(mistakes, durationMs);
  if (opensAt === undefined || closesAt === undefined) return;
  const lengthMs = closesAt - opensAt;
  if (lengthMs < saleDurationMinMs)
    mistakes.add('/closesAt', `Must be at least ${saleDurationMinMs} ms after opensAt.`);
  if (lengthMs > saleDurationMaxMs) mistakes.add('/closesAt', `Must be at most ${saleDurationMaxMs} ms after opensAt.`);
}

function checkDuration(mistakes: Mistakes, durationMs: number | undefined): void {
  const { saleDurationMinMs, saleDurationMaxMs } = LIMITS;
  if (durationMs !== undefined) mistakes.integer('/durationMs', durationMs, saleDurationMinMs, saleDurationMaxMs);
}

const totalPrice = (skus: readonly SaleSkuSpec[]): bigint =>
  skus.reduce((sum, sku) => sum + BigInt(sku.price) * BigInt(sku.quantity), 0n);
