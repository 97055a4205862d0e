/** A restart of Redis affects all shows of a node: one log record says so. */
import { Writable } from 'node:stream';
import { pino } from 'pino';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { connectStore } from '../../src/redis/index.ts';
import { HOST, times, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';

t.test('the recovery of all shows after a restart is one record, without a warning per show', async (t) => {
  const logged: Array<Record<string, unknown>> = [];
  const lines = new Writable({
    write(line, _encoding, done) {
      logged.push(JSON.parse(String(line)));
      done();
    },
  });
  const redis = await startRedis();
  const store = await connectStore({ redis: redis.target, logger: pino(lines) });
  t.teardown(async () => {
    await store.close();
    await redis.stop();
  });
  const shows = times(20, (i) => `show-${i}`);
  for (const id of shows) unwrap(await store.createShow({ id, title: 'T' }, HOST));
  logged.length = 0;
  await redis.crashAndRestart();
  await until(() => store.trouble() === null, 'the store is back');
  await Promise.all(shows.map((id) => store.tick(id)));
  const records = () => logged.filter(({ msg }) => /books verified/.test(String(msg)));
  await until(() => records().length > 0, 'the record');
  t.match(records(), [{ level: 30, shows: 20, repaired: 0 }]);
  t.equal(records().length, 1);
  // A server that starts refuses connections first, then requests: each is a reason to log.
  const warnings = logged.filter(({ level }) => Number(level) > 30);
  t.ok(warnings.length >= 1 && warnings.length <= 3, JSON.stringify(warnings));
  t.same([...new Set(warnings.map(({ msg }) => msg))], ['Redis is unavailable']);
});
