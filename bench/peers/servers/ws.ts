/** A loop over all sockets with the `ws` package. Connections to `/say` publish, others receive. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
const room = new Set<import('ws').WebSocket>();

sockets.on('connection', (socket, request) => {
  socket.on('error', () => {});
  if (request.url === '/say') {
    socket.on('message', (text) => {
      for (const listener of room) listener.send(text, { binary: false });
    });
    return;
  }
  room.add(socket);
  socket.on('close', () => room.delete(socket));
});

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () =>
  process.send?.({ port: (server.address() as AddressInfo).port }),
);
process.once('disconnect', () => process.exit(0));
