/** Socket.IO as its guide describes for several nodes: rooms and the Redis adapter. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

const [redisPath = ''] = process.argv.slice(2);
const publisher = new Redis({ path: redisPath });
const subscriber = publisher.duplicate();
const server = createServer();
const io = new Server(server, {
  transports: ['websocket'],
  perMessageDeflate: false,
  adapter: createAdapter(publisher, subscriber),
});

io.on('connection', (socket) => {
  if (socket.handshake.query.publisher === undefined) void socket.join('room');
  else socket.on('say', (text: string) => io.to('room').emit('m', text));
});

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () =>
  process.send?.({ port: (server.address() as AddressInfo).port }),
);
process.once('disconnect', () => process.exit(0));
