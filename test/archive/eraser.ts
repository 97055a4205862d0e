/** A process that erases a user, for tests that kill it: `eraser SOCKET PREFIX FOLDER USER`. */
import { createErasures } from '../../src/archive/index.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { connectStore } from '../../src/redis/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

const [url = '', keyPrefix = '', folder = '', user = ''] = process.argv.slice(2);
const store = await connectStore({ redis: redisTarget(url), keyPrefix });
process.stdout.write('started\n');
const erasures = createErasures({ store, folder, logger: createLogger({ level: 'silent' }) });
process.stdout.write(`${JSON.stringify(await erasures.erase(user))}\n`);
await store.close();
