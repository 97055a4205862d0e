/** All nodes of an installation publish in one mode: those that live decide. */
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { RELAY_KEPT_MS, RelayMode } from '../../src/redis/relay-mode.ts';
import { until } from '../support/until.ts';

const redis = await startRedis();
t.teardown(() => redis.stop());
t.jobs = 3;
const client = redis.client();

function node(key: string) {
  const others: string[] = [];
  const mode = new RelayMode(
    () => client,
    key,
    (found) => others.push(found),
  );
  t.teardown(() => mode.leave());
  return { mode, others };
}

t.test('the first node decides, and a later one learns the mode of those that live', async (t) => {
  const [first, second] = [node('a:relay').mode, node('a:relay').mode];
  t.equal(await first.join('classic'), 'classic');
  t.equal(await second.join('sharded'), 'classic', 'it must not publish as it wanted');
  t.equal(await second.join('classic'), 'classic');
  t.equal(await node('b:relay').mode.join('sharded'), 'sharded', 'another installation on the same server');
});

t.test('the mode is forgotten some seconds after the last node, and kept while one lives', async (t) => {
  const first = node('c:relay').mode;
  await first.join('classic');
  const left = await client.pttl('c:relay');
  t.ok(left > RELAY_KEPT_MS - 2_000 && left <= RELAY_KEPT_MS, `${left} ms`);
  await client.pexpire('c:relay', 6_500);
  await until(async () => (await client.pttl('c:relay')) > 6_500, 'a live node refreshes the key', 10_000);
  first.leave();
  await client.del('c:relay');
  t.equal(await node('c:relay').mode.join('sharded'), 'sharded');
});

t.test('a node notices that others publish in another mode than it does', async () => {
  const { mode, others } = node('d:relay');
  await mode.join('classic');
  await client.set('d:relay', 'sharded');
  await until(() => others[0] === 'sharded', 'the next refresh', 10_000);
});
