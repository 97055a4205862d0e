/** Messages that arrive while their room opens, with simulated sockets. */
import t from 'tap';
import { Connection, GUEST, type SocketData } from '../../src/gateway/connection.ts';
import { Requests } from '../../src/gateway/requests.ts';
import type { WebSocket } from '../../src/gateway/uws.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Result } from '../../src/protocol/codes.ts';
import { ManualClock } from '../support/manual-clock.ts';

t.test('messages before the welcome are checked for size, with a budget per node (I9, Q-1.2)', async (t) => {
  const requests = new Requests({
    ...{ health: { now: () => 1 } as never, clock: new ManualClock(), logger: {} as never, draining: () => false },
    ...{ closer: { close: () => {} } as never, metrics: { badFrames: { inc: () => {} } } as never },
    ...{ tokens: {} as never, guests: {} as never },
  });
  let open: (opened: Result<null>) => void = () => {};
  const opening = new Promise<Result<null>>((resolve) => {
    open = resolve;
  });
  const sent: string[] = [];
  const connect = (): Connection => {
    const connection = new Connection({} as never, 'json', GUEST, { address: 'a', connections: 1 }, null, opening);
    connection.attach({ send: (text: string) => sent.push(JSON.parse(text).code) } as unknown as WebSocket<SocketData>);
    return connection;
  };
  requests.receive(connect(), new Uint8Array(LIMITS.frameInBytesMax + 1), false);
  t.same(sent, ['frame_too_large']);

  const largest = new Uint8Array(LIMITS.frameInBytesMax);
  const fitting = LIMITS.earlyBytesPerNodeMax / largest.length;
  const each = LIMITS.inFlightPerConnectionMax;
  const connections = Array.from({ length: fitting / each }, connect);
  for (const connection of connections) for (let i = 0; i < each; i += 1) requests.receive(connection, largest, false);
  t.equal(sent.length, 1, `${fitting} messages of 16 KiB wait`);
  requests.receive(connect(), largest, false);
  t.same(sent.slice(1), ['overloaded']);

  for (const connection of connections) connection.detach();
  open({ ok: true, value: null });
  await opening;
  const last = connect();
  requests.receive(last, largest, false);
  // Its room opens at once.
  last.detach();
  t.equal(sent.length, 2, 'the budget is free again when the room is open');
});
