/**
 * A local worker's program: `join.ts HOST:PORT`, the key in BENCH_KEY. People on other machines use
 * `npm run bench -- join`.
 */
import { runWorker } from './worker.ts';
import { WORKLOADS } from './workloads/index.ts';

const [address = ''] = process.argv.slice(2);
const colon = address.lastIndexOf(':');
// Ctrl-C reaches the whole group; the coordinator decides when this process ends, and its death
// closes the connection.
process.on('SIGINT', () => {});
await runWorker({
  host: address.slice(0, colon),
  port: Number(address.slice(colon + 1)),
  key: process.env.BENCH_KEY ?? '',
  workloads: WORKLOADS,
}).then(
  () => process.exit(0),
  () => process.exit(1),
);
