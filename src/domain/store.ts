/**
 * What the gateway, the control API, the jobs and the CLI may ask of the place where state lives.
 * `src/redis/` implements these ports. Every method returns a coded `Result` and never throws for
 * an operating error: a Redis that is unreachable, full, read-only or loading is a `redis_*`
 * failure.
 */
import type { ArchiveStore } from './archive.ts';
import type { Auditor } from './audit.ts';
import type { CommandGuard } from './command.ts';
import type { ErasureStore } from './erasure.ts';
import type { Health } from './health.ts';
import type { ModerationStore } from './moderation.ts';
import type { OrderStore } from './order.ts';
import type { ProductStore } from './product.ts';
import type { PublicShowStore } from './public-shows.ts';
import type { ReservationStore } from './reservation.ts';
import type { SaleStore } from './sale.ts';
import type { Scheduler } from './schedule.ts';
import type { ShowStore } from './show.ts';
import type { ShowPlanStore } from './show-plan.ts';
import type { TransferStore } from './transfer.ts';

/** All ports at once: what `connectStore` in `src/redis/` returns. */
export interface Store
  extends ShowStore,
    ShowPlanStore,
    ProductStore,
    PublicShowStore,
    ModerationStore,
    SaleStore,
    ReservationStore,
    OrderStore,
    CommandGuard,
    Scheduler,
    ArchiveStore,
    ErasureStore,
    TransferStore,
    Auditor,
    Health {
  close(): Promise<void>;
}
