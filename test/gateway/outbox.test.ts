/** Replies are written at the end of a turn of the event loop, one write per connection. */
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { Connection, GUEST, type SocketData } from '../../src/gateway/connection.ts';
import { Outbox } from '../../src/gateway/outbox.ts';
import type { WebSocket } from '../../src/gateway/uws.ts';
import { test } from './harness.ts';

/** A connection whose socket records each system call. */
function recorded(): { connection: Connection; writes: string[] } {
  const writes: string[] = [];
  let corked: string[] | null = null;
  const socket = {
    send: (data: string) => void (corked ?? writes).push(data),
    cork: (run: () => void) => {
      corked = [];
      run();
      writes.push(corked.join('+'));
      corked = null;
    },
  };
  const room = { leave: () => {} } as never;
  const connection = new Connection(room, 'json', GUEST, { address: 'a', connections: 1 }, null, null);
  connection.attach(socket as unknown as WebSocket<SocketData>);
  return { connection, writes };
}

t.test('the replies of a turn leave together, with one write per connection', async (t) => {
  const outbox = new Outbox();
  const [ann, bob, gone] = [recorded(), recorded(), recorded()];
  for (const [i, { connection }] of [ann, bob, gone, ann].entries()) outbox.put(connection, `${i + 1}`);
  t.same(ann.writes, []);
  gone.connection.detach();
  await turn();
  t.same([ann.writes, bob.writes, gone.writes], [['1+4'], ['2'], []]);
  outbox.put(ann.connection, '5');
  await turn();
  t.same(ann.writes, ['1+4', '5'], 'the next turn has its write');
  outbox.put(ann.connection, '6');
  ann.connection.write('7');
  t.same(ann.writes.slice(2), ['6', '7'], 'a message does not overtake a reply');
  await turn();
  t.equal(ann.writes.length, 4);
});

test('a connection gets its replies before the bye of a drain', async (t, world) => {
  const client = await world.join({ user: 'ann' });
  for (let id = 1; id <= 10; id += 1) client.send({ t: 'chat', id, text: `message ${id}` });
  await client.type('ok');
  await world.node.gateway.drain({ timeoutMs: 2_000 });
  await client.closed;
  const kinds = client.received.map((message) => (message.t === 'error' ? message.code : message.t));
  t.equal(kinds.at(-1), 'bye');
  const replies = kinds.filter((kind) => ['ok', 'draining', 'rate_limited'].includes(String(kind)));
  t.equal(replies.length, 10, kinds.join(' '));
});
