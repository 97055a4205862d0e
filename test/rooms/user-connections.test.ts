import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { UserConnections } from '../../src/rooms/user-connections.ts';

t.test('I9: nodes share what they close, and the newest connection to each stays (H-9.1)', async (t) => {
  const users = new UserConnections(20);
  t.equal(users.surplus('eve', 20, 0), 0);
  t.equal(users.surplus('eve', 21, 0), 1, 'alone, a node closes all that is too much');
  users.learn('eve', 'a', 20, 0);
  users.learn('eve', 'b', 20, 0);
  t.equal(users.surplus('eve', 20, 0), 13, 'each of three nodes closes a third of 40');
  t.equal(users.surplus('eve', 1, 0), 0, 'the newest one stays');
  users.learn('eve', 'b', 0, 0);
  t.equal(users.surplus('eve', 1, 0), 0);
  t.equal(users.surplus('eve', 20, LIMITS.nodeCountsTtlMs), 0, 'the report of a node that died is forgotten');
});

t.test('only users with many connections are reported', async (t) => {
  const users = new UserConnections(20);
  t.same([users.isShared('ann', 4), users.isShared('ann', 5)], [false, true]);
  users.learn('ann', 'a', 5, 0);
  t.ok(users.isShared('ann', 1), 'a user who has many elsewhere');
  users.learn('bob', 'a', 5, LIMITS.nodeCountsTtlMs);
  t.notOk(users.isShared('ann', 1), 'until the report is too old');
  t.notOk(new UserConnections(1).isShared('ann', 1), 'never a user with one connection');
});
