/** The bare reserve server (`peers/servers/bare-reserve.ts`) in a process, on a fresh Redis. */
import { startServerOnRedis } from '../peers/processes.ts';
import type { AppendMode } from './redis-server.ts';

export type BareReserve = Awaited<ReturnType<typeof startBareReserve>>;

export async function startBareReserve(append: AppendMode) {
  const { port, pid, redis, stop } = await startServerOnRedis('bare-reserve', append);
  return {
    port,
    pid,
    redis,
    token: (_show: string, user: string): string => user,
    openSale: async ({ show, units, perBuyer }: { show: string; units: number; perBuyer: number }): Promise<void> =>
      void (await redis.admin.hset(`sale:${show}`, { left: units, perBuyer })),
    stop,
  };
}
