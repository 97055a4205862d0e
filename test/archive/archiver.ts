/** A process that archives a show, for tests that kill it: `archiver SOCKET PREFIX FOLDER SHOW`. */
import { redisTarget } from '../../src/domain/redis-target.ts';
import { connectStore } from '../../src/redis/index.ts';
import { archivesOf } from '../support/archives.ts';

const [url = '', keyPrefix = '', folder = '', show = ''] = process.argv.slice(2);
const store = await connectStore({ redis: redisTarget(url), keyPrefix });
process.stdout.write('started\n');
const done = await archivesOf(store, folder).archive(show);
process.stdout.write(`${JSON.stringify(done)}\n`);
await store.close();
