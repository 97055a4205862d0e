/** A generator process with a workload that blocks the event loop. */
import type { Workload } from '../../bench/generator/contract.ts';
import { runWorker } from '../../bench/generator/worker.ts';
import { WORKLOADS } from '../../bench/generator/workloads/index.ts';

const burn: Workload<null> = {
  name: 'burn',
  async prepare({ recorder, nowMs }) {
    let on = true;
    const turn = (): void => {
      const dueMs = nowMs();
      while (nowMs() - dueMs < 60);
      recorder.sent(dueMs);
      if (on) setImmediate(turn);
    };
    return {
      start: turn,
      async stop() {
        on = false;
      },
    };
  },
};

const [address = ''] = process.argv.slice(2);
const colon = address.lastIndexOf(':');
await runWorker({
  host: address.slice(0, colon),
  port: Number(address.slice(colon + 1)),
  key: process.env.BENCH_KEY ?? '',
  workloads: new Map([...WORKLOADS, [burn.name, burn as Workload<never>]]),
}).catch(() => {});
process.exit(0);
