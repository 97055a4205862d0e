import { once } from 'node:events';
import { decode as msgpackDecode } from '@msgpack/msgpack';
import { WebSocket } from 'ws';
import { inflate, isDeflated } from '../../src/protocol/codec.ts';
import type { ChatGroup } from '../../src/protocol/messages.ts';
import { times } from '../support/store-fixture.ts';
import type { Message } from './client.ts';
import { test, until } from './harness.ts';

test('the compressed variant deflates a broadcast once; short replies are plain (M-4.1, M-4.2)', async (t, world) => {
  const { encodes } = world.node.metrics;
  const json = await world.connect({ user: 'json' });
  const raw: Buffer[] = [];
  const sockets = await Promise.all(
    ['z1', 'z2', 'z3'].map(async (user, i) => {
      const protocols = ['stampede.v1.msgpack.deflate', `token.${world.token(user)}`];
      const socket = new WebSocket(`${world.node.url}/v1/shows/${world.show}`, protocols);
      if (i === 0) socket.on('message', (data: Buffer, isBinary: boolean) => isBinary && raw.push(data));
      await once(socket, 'open');
      t.equal(socket.protocol, protocols[0]);
      return socket;
    }),
  );
  await until(async () => raw.length > 0 && (await world.node.metric('joins_total')) === 4, 'four welcomes');
  await json.type('welcome');
  const before = { ...encodes };
  const replies = await Promise.all(times(6, (i) => json.say(`a text that can be compressed ${i}`)));
  t.ok(replies.every((reply) => reply.t === 'ok'));
  await until(() => json.chat().length === 6, 'chat arrives');
  const deflated = encodes['msgpack.deflate'] - before['msgpack.deflate'];
  t.equal(deflated, encodes.json - before.json, 'once per frame for three sockets, as for the one in JSON');
  const frames = async (): Promise<Message[]> =>
    Promise.all(raw.map(async (data) => msgpackDecode(isDeflated(data) ? await inflate(data) : data) as Message));
  const countChat = (groups: ChatGroup[]): number => groups.reduce((sum, [, , items]) => sum + items.length, 0);
  const chat = async () => (await frames()).flatMap((m) => (m.t === 'frame' ? (m.chat ?? []) : []));
  await until(async () => countChat(await chat()) === 6, 'the same six messages');
  t.ok(raw.some(isDeflated), 'a frame is deflated');
  sockets[0]?.send(JSON.stringify({ t: 'sync' }));
  await until(async () => (await frames()).some(({ code }) => code === 'bad_frame'), 'a text frame is an error');
  for (const socket of sockets) socket.terminate();
});
