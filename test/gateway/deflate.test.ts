import { once } from 'node:events';
import { decode as msgpackDecode } from '@msgpack/msgpack';
import t from 'tap';
import { WebSocket } from 'ws';
import { inflate, isDeflated } from '../../src/protocol/codec.ts';
import type { Frame } from '../../src/protocol/messages.ts';
import { startWorld, until } from './harness.ts';

t.test('the compressed variant deflates a broadcast once; short replies are plain (M-4.1, M-4.2)', async (t) => {
  const world = await startWorld(t);
  const { encodes } = world.node.metrics;
  const json = await world.connect({ user: 'json' });
  const raw: Buffer[] = [];
  const sockets = await Promise.all(
    ['z1', 'z2', 'z3'].map(async (user, i) => {
      const socket = new WebSocket(`${world.node.url}/v1/shows/${world.show}`, [
        'stampede.v1.msgpack.deflate',
        `token.${world.token(user)}`,
      ]);
      if (i === 0) socket.on('message', (data: Buffer, isBinary: boolean) => isBinary && raw.push(data));
      await once(socket, 'open');
      t.equal(socket.protocol, 'stampede.v1.msgpack.deflate');
      return socket;
    }),
  );
  await until(async () => raw.length > 0 && (await world.node.metric('joins_total')) === 4, 'four welcomes');
  await json.type('welcome');
  const before = { ...encodes };
  const replies = await Promise.all(
    Array.from({ length: 6 }, (_, i) => json.say(`a text that can be compressed ${i}`)),
  );
  t.ok(replies.every((reply) => reply.t === 'ok'));
  await until(() => json.chat().length === 6, 'chat arrives');
  t.equal(
    encodes['msgpack.deflate'] - before['msgpack.deflate'],
    encodes.json - before.json,
    'once per frame for three sockets, as for the one in JSON',
  );
  const frames = async (): Promise<Frame[]> =>
    Promise.all(raw.map(async (data) => msgpackDecode(isDeflated(data) ? await inflate(data) : data) as Frame));
  await until(
    async () =>
      (await frames()).flatMap((m) => (m.t === 'frame' ? (m.chat ?? []) : [])).flatMap(([, , items]) => items)
        .length === 6,
    'the same six messages',
  );
  t.ok(raw.some(isDeflated), 'a frame is deflated');
  sockets[0]?.send(JSON.stringify({ t: 'sync' }));
  await until(
    async () => (await frames()).some((m) => (m as unknown as { code?: string }).code === 'bad_frame'),
    'a text frame is an error',
  );
  for (const socket of sockets) socket.terminate();
});
