/** The bare reserve server (`peers/servers/bare-reserve.ts`) in a process, on a fresh Redis. */
import { startServerOnRedis } from '../peers/processes.ts';
import type { PressTarget } from '../users/hot-sale-buyers.ts';
import type { AppendMode, RedisServer } from './redis-server.ts';

export interface BareReserve extends PressTarget {
  /** Of the server process. */
  readonly pid: number;
  readonly redis: RedisServer;
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
      void (await redis.admin.hset(`sale:${show}`, { left: units, perBuyer })),
    stop,
  };
}
