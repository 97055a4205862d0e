/** The engine's books after the load, read over the control API: sales, reservations, ledger. */
import type { Verification } from '../../src/domain/audit.ts';
import type { SaleBooks } from '../../src/domain/sale.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { createPrng } from '../generator/prng.ts';
import { type BackOffice, BackOfficeError } from '../users/back-office.ts';
import type { Grant } from './evidence.ts';

export interface Books {
  readonly verification: Verification;
  readonly sales: readonly SaleBooks[];
  /** Granted reservations that were looked up; null if unknown to the engine. */
  readonly looked: ReadonlyMap<string, ReservationView | null>;
}

/** Above `most` granted reservations, a random sample is looked up. */
export type LookUp = { readonly most: number; readonly seed: number; readonly atOnce?: number };

/** Throws `BackOfficeError` if the engine does not respond: without books there is no verdict. */
export async function readBooks(
  office: BackOffice,
  show: string,
  grants: readonly Grant[],
  look: LookUp,
): Promise<Books> {
  const { most, seed, atOnce = 8 } = look;
  const ids = sample([...new Set(grants.map(({ reservation }) => reservation))], most, seed);
  const looked = new Map<string, ReservationView | null>();
  const lanes = Array.from({ length: atOnce }, async () => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) looked.set(id, await reservation(office, show, id));
  });
  await Promise.all(lanes);
  // Last, so that the books are newer than the reservations.
  const [verification, sales] = [await office.verify(show), await office.listSales(show)];
  return { verification, sales, looked };
}

async function reservation(office: BackOffice, show: string, id: string): Promise<ReservationView | null> {
  try {
    return await office.getReservation(show, id);
  } catch (error) {
    if (error instanceof BackOfficeError && error.code === 'reservation_not_found') return null;
    throw error;
  }
}

/** Returns up to `most` items in random order, determined by the seed. */
function sample<T>(items: T[], most: number, seed: number): T[] {
  const random = createPrng(seed);
  for (let at = 0; at < Math.min(most, items.length); at++) {
    const other = random.int(at, items.length - 1);
    [items[at], items[other]] = [items[other] as T, items[at] as T];
  }
  return items.slice(0, most);
}
