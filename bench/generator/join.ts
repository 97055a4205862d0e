/** The program of a local worker: `join.ts HOST:PORT`, with the key in BENCH_KEY. */
import { runWorker } from './worker.ts';
import { WORKLOADS } from './workloads/index.ts';

const [address = ''] = process.argv.slice(2);
const colon = address.lastIndexOf(':');
// Ctrl-C reaches the whole group. The coordinator ends this process, or its death does.
process.on('SIGINT', () => {});
const [host, port] = [address.slice(0, colon), Number(address.slice(colon + 1))];
await runWorker({ host, port, key: process.env.BENCH_KEY ?? '', workloads: WORKLOADS }).then(
  () => process.exit(0),
  () => process.exit(1),
);
