/**
 * How answers leave: all of a connection in one write at the end of the loop's turn, and nothing to
 * one that is gone.
 */
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { Connection, GUEST, type SocketData } from '../../src/gateway/connection.ts';
import { Outbox } from '../../src/gateway/outbox.ts';
import type { WebSocket } from '../../src/gateway/uws.ts';
import type { Room } from '../../src/rooms/room.ts';
import { startWorld } from './harness.ts';

/** A connection whose socket writes down what would become a system call each. */
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
  const connection = new Connection(
    { leave: () => {} } as unknown as Room,
    'json',
    GUEST,
    { address: 'a' } as never,
    null,
    null,
  );
  connection.attach(socket as unknown as WebSocket<SocketData>);
  return { connection, writes };
}

t.test('answers of a turn leave together, a write for each connection', async (t) => {
  const outbox = new Outbox();
  const [ann, bob, gone] = [recorded(), recorded(), recorded()];
  outbox.put(ann.connection, '1');
  outbox.put(bob.connection, '2');
  outbox.put(gone.connection, '3');
  outbox.put(ann.connection, '4');
  t.same(ann.writes, []);
  gone.connection.detach();
  await turn();
  t.same([ann.writes, bob.writes, gone.writes], [['1+4'], ['2'], []]);
  outbox.put(ann.connection, '5');
  await turn();
  t.same(ann.writes, ['1+4', '5'], 'the next turn has its own');
  outbox.put(ann.connection, '6');
  ann.connection.write('7');
  t.same(ann.writes.slice(2), ['6', '7'], 'what is written after an answer does not overtake it');
  await turn();
  t.equal(ann.writes.length, 4);
});

t.test('a connection that is sent away has its answers first', async (t) => {
  const world = await startWorld(t);
  const client = await world.connect({ user: 'ann' });
  await client.type('welcome');
  for (let id = 1; id <= 10; id += 1) client.send({ t: 'chat', id, text: `message ${id}` });
  await client.find((message) => message.t === 'ok');
  await world.node.gateway.drain({ timeoutMs: 2_000 });
  await client.closed;
  const kinds = client.received.map((message) => (message.t === 'error' ? message.code : message.t));
  t.equal(kinds.at(-1), 'bye');
  t.equal(
    kinds.filter((kind) => kind === 'ok' || kind === 'draining' || kind === 'rate_limited').length,
    10,
    kinds.join(' '),
  );
});
