/** An upgrade by hand: any header, any source address, any bytes before it. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawUpgrade {
  readonly path: string;
  /** Lines of the request head beside those of the upgrade itself. */
  readonly headers?: readonly string[];
  /** Sent before the request. */
  readonly prefix?: Uint8Array;
  readonly localAddress?: string;
}

/** The answer's status; the socket stays open. */
export async function rawUpgrade(
  port: number,
  { path, headers = [], prefix, localAddress }: RawUpgrade,
): Promise<{ status: number; socket: Socket }> {
  const socket = connect({ host: '127.0.0.1', port, ...(localAddress === undefined ? {} : { localAddress }) });
  await once(socket, 'connect');
  if (prefix !== undefined) socket.write(prefix);
  const head = [
    'Host: x',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
  ];
  socket.write(`GET ${path} HTTP/1.1\r\n${[...head, ...headers].join('\r\n')}\r\n\r\n`);
  const [first] = (await once(socket, 'data')) as [Buffer];
  return { status: Number(first.toString('latin1', 9, 12)), socket };
}
