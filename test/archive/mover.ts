/** A process that moves a show, for tests that kill it: `mover SOCKET PREFIX FILE [SHOW]`. */
import { exportShow, importShow } from '../../src/archive/index.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { connectStore } from '../../src/redis/index.ts';

const [url = '', keyPrefix = '', path = '', show] = process.argv.slice(2);
const store = await connectStore({ redis: redisTarget(url), keyPrefix });
process.stdout.write('started\n');
const options = { store, path };
const done = show === undefined ? await importShow(options) : await exportShow(options, show, '0.0.0-test');
process.stdout.write(`${done.ok ? 'done' : done.error.code}\n`);
await store.close();
