/**
 * The bare sketch of the rush (`peers/servers/bare-reserve.ts`) in a process of its own, on a Redis
 * of its own that is kept as the engine's is.
 */
import { startServerOnRedis } from '../peers/processes.ts';
import type { PressTarget } from '../users/hot-sale-buyers.ts';
import type { AppendMode, BenchRedis } from './redis.ts';

export interface BareReserve extends PressTarget {
  /** Of the server process. */
  readonly pid: number;
  readonly redis: BenchRedis;
  openSale(sale: { show: string; units: number; perBuyer: number }): Promise<void>;
  stop(): Promise<void>;
}

export async function startBareReserve(append: AppendMode): Promise<BareReserve> {
  const { port, pid, redis, stop } = await startServerOnRedis('bare-reserve', append);
  return {
    port,
    pid,
    redis,
    token: (_show, user) => user,
    openSale: async ({ show, units, perBuyer }) =>
      void (await redis.client.hset(`sale:${show}`, { left: units, perBuyer })),
    stop,
  };
}
