/**
 * Slow viewers in a room of more than one block of seats: exact numbers for those who stall,
 * everything in order for those who do not.
 */
import { connect as dial, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { MessagePackWriter, writeChatItem } from '../../src/domain/message-pack.ts';
import { Connection } from '../../src/gateway/connection.ts';
import { LIMITS } from '../../src/limits.ts';
import { type Client, startWorld, until, type World } from './harness.ts';
import { judge } from './reception.ts';

const BATCH = 200;
const ROUNDS_MAX = 400;

/** A guest that reads and throws away: a room is filled with little work for the test. */
async function bystander({ node, show }: World): Promise<Socket> {
  const socket = dial({ port: node.port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  socket.write(
    `GET /v1/shows/${show} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: stampede.v1.msgpack\r\n\r\n`,
  );
  await new Promise((resolve) => socket.once('data', resolve));
  socket.resume();
  return socket;
}

/** Chat as another node would append it. */
async function flood({ store, show }: World, round: number): Promise<void> {
  const writer = new MessagePackWriter();
  for (let i = 0; i < BATCH; i += 1) writeChatItem(writer, i, 0, 'flood', `${round}/${i} `.padEnd(280, '.'), 0);
  const appended = await store.appendChat(
    show,
    { node: 'flooder', at: store.now(), count: BATCH, items: writer.take() },
    Array(BATCH).fill('flood'),
  );
  if (!appended.ok) throw new Error(appended.error.message);
}

/**
 * Who left the chat lane: on a busy machine a bystander that lives in this process may be slow,
 * too.
 */
function watchDemoted(): Set<string | null> {
  const { demote } = Connection.prototype;
  const demoted = new Set<string | null>();
  Connection.prototype.demote = function (this: Connection) {
    demoted.add(this.identity.user);
    demote.call(this);
  };
  t.teardown(() => {
    Connection.prototype.demote = demote;
  });
  return demoted;
}

/** The most that ever waited for one viewer, as the sweep saw it. */
function watchBacklog(): () => number {
  const { bufferedBytes } = Connection.prototype;
  let most = 0;
  Connection.prototype.bufferedBytes = function (this: Connection) {
    const bytes = bufferedBytes.call(this);
    most = Math.max(most, bytes);
    return bytes;
  };
  t.teardown(() => {
    Connection.prototype.bufferedBytes = bufferedBytes;
  });
  return () => most;
}

t.test(
  'B-1 B-2: stalled viewers of every block lose chat, keep events, and are told exactly what they missed; nobody else notices',
  async (t) => {
    const backlog = watchBacklog();
    const demoted = watchDemoted();
    const world = await startWorld(t);
    const join = async (user: string): Promise<Client> => {
      const client = await world.connect({ user, encoding: 'msgpack' });
      await client.type('welcome');
      return client;
    };
    const [slowFirst, quickFirst] = [await join('slow-first'), await join('quick-first')];
    const crowd = await Promise.all(Array.from({ length: LIMITS.publishViewersPerTurn - 2 }, () => bystander(world)));
    t.teardown(() => {
      for (const socket of crowd) socket.destroy();
    });
    const [slowSecond, quickSecond] = [await join('slow-second'), await join('quick-second')];
    const [slow, quick] = [
      [slowFirst, slowSecond],
      [quickFirst, quickSecond],
    ];
    for (const { socket } of slow) socket.pause();

    let rounds = 0;
    for (; !(demoted.has('slow-first') && demoted.has('slow-second')); rounds += 1) {
      if (rounds > ROUNDS_MAX) throw new Error('not everybody who stalled was demoted');
      await flood(world, rounds);
      await sleep(20);
    }
    await flood(world, rounds++);
    await world.store.announce(world.show, 'for everybody', 'test');
    const total = rounds * BATCH;
    for (const client of quick) {
      await until(() => client.chat().length === total, 'those who read have everything', 15_000);
      t.same(judge(client.received).problems, [], 'in order, without a hole');
      t.equal(judge(client.received).missed, 0);
      await client.find(({ events }) => events?.some(({ data }) => data['text'] === 'for everybody') ?? false);
    }
    t.notOk(demoted.has('quick-first') || demoted.has('quick-second'), 'who reads stays');

    for (const { socket } of slow) socket.resume();
    for (const client of slow) {
      const restored = await client.find(({ missed }) => missed > 0, 10_000);
      t.match(restored.state, { sales: [], viewers: Number });
      t.ok(
        client.events().some(({ data }) => data['text'] === 'for everybody'),
        'events came all the same',
      );
      t.equal(client.chat().length + restored.missed, total, 'exactly');
    }
    await flood(world, rounds);
    for (const client of slow) {
      await until(
        () =>
          client
            .chat()
            .at(-1)?.[2]
            .startsWith(`${rounds}/${BATCH - 1}`) ?? false,
        'and chat goes on',
        8_000,
      );
      t.same(judge(client.received).problems, []);
    }
    t.ok(backlog() <= LIMITS.backpressureHardBytes * 1.25, `at most ${backlog()} bytes waited for one viewer`);
    t.comment(`${rounds} rounds, at most ${backlog()} bytes waited for one viewer`);
  },
);
