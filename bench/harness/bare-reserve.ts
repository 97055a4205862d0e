/** The bare sketch of the rush (`peers/servers/bare-reserve.ts`) in a process of its own, on a Redis of its own that is kept as the engine's is. */
import { startServerProgram } from '../peers/processes.ts';
import type { PressTarget } from './pressing-crowd.ts';
import { type AppendMode, type BenchRedis, startBenchRedis } from './redis.ts';

export interface BareReserve extends PressTarget {
  /** Of the server process. */
  readonly pid: number;
  readonly redis: BenchRedis;
  openSale(sale: { show: string; units: number; perBuyer: number }): Promise<void>;
  stop(): Promise<void>;
}

export async function startBareReserve(append: AppendMode): Promise<BareReserve> {
  const redis = await startBenchRedis(append);
  try {
    const { port, pid, stop } = await startServerProgram('bare-reserve', [redis.url.replace('unix://', '')]);
    return {
      port,
      pid,
      redis,
      token: (_show, user) => user,
      openSale: async ({ show, units, perBuyer }) => void (await redis.client.hset(`sale:${show}`, { left: units, perBuyer })),
      async stop() {
        await stop();
        await redis.stop();
      },
    };
  } catch (error) {
    await redis.stop();
    throw error;
  }
}
