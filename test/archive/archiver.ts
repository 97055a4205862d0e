/** Archives or deletes a show, for tests that kill it: `archiver SOCKET PREFIX FOLDER SHOW OP`. */
import { redisTarget } from '../../src/domain/redis-target.ts';
import { connectStore } from '../../src/redis/index.ts';
import { archivesOf } from '../support/archives.ts';

const [url = '', keyPrefix = '', folder = '', show = '', op = ''] = process.argv.slice(2);
const store = await connectStore({ redis: redisTarget(url), keyPrefix });
process.stdout.write('started\n');
const archives = archivesOf(store, folder);
const done = await (op === 'delete' ? archives.remove(show) : archives.archive(show));
process.stdout.write(`${JSON.stringify(done)}\n`);
await store.close();
