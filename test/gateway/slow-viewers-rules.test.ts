/**
 * When a viewer counts as slow, and when no longer: by what waits for it here, and by a ping it
 * does not answer.
 */
import t from 'tap';
import type { BroadcastGroup } from '../../src/fanout/broadcast-groups.ts';
import { Connection, GUEST, type SocketData } from '../../src/gateway/connection.ts';
import { SlowViewers } from '../../src/gateway/slow-viewers.ts';
import type { WebSocket } from '../../src/gateway/uws.ts';
import { LIMITS } from '../../src/limits.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KIB = 1024;

/** A live viewer whose socket does what the test says. */
function setUp() {
  const clock = new ManualClock();
  let demotions = 0;
  const viewers = new SlowViewers({ clock, onDemoted: () => demotions++ });
  const seats = { chatKib: 7, topics: { main: 'e', chat: 'c' } } as BroadcastGroup;
  const line = { buffered: 0, pings: 0, ended: 0 };
  const socket = {
    getBufferedAmount: () => line.buffered,
    ping: () => line.pings++,
    end: (code: number) => (line.ended = code),
    subscribe: () => true,
    unsubscribe: () => true,
    send: () => 1,
  };
  const room = {
    groups: { join: () => seats, flush: () => {} },
    chatLane: { sentCount: 0 },
    resumer: { restoration: () => ({ in: () => new Uint8Array() }) },
  };
  const connection = new Connection(room as never, 'msgpack', GUEST, { address: 'a', connections: 1 }, null, null);
  connection.attach(socket as unknown as WebSocket<SocketData>);
  connection.joinBroadcastGroup();
  const look = (): string => {
    viewers.inspect(connection);
    return connection.state.phase;
  };
  const send = (kib: number): void => {
    seats.chatKib += kib;
  };
  return { clock, viewers, connection, line, look, send, demotions: () => demotions };
}

t.test('B-1 B-3: by what waits here', async (t) => {
  const { line, look, demotions } = setUp();
  line.buffered = LIMITS.backpressureSoftBytes;
  t.equal(look(), 'live');
  line.buffered = LIMITS.backpressureSoftBytes + 1;
  t.equal(look(), 'demoted');
  line.buffered = 1;
  t.equal(look(), 'demoted', 'until all of it is out');
  line.buffered = 0;
  t.equal(look(), 'live');
  t.equal(demotions(), 1);
  line.buffered = LIMITS.backpressureHardBytes + 1;
  look();
  t.equal(line.ended, 4001);
});

t.test('B-4: by a ping that is not answered', async (t) => {
  const { clock, viewers, connection, line, look, send } = setUp();
  send(LIMITS.readProofEveryKib - 1);
  look();
  t.equal(line.pings, 0, 'what was sent before it came does not count');
  send(1);
  t.equal(look(), 'live');
  t.equal(line.pings, 1);
  send(LIMITS.readProofOverdueKib);
  t.equal(look(), 'live', 'a line may be long');
  await clock.pass(LIMITS.readProofMs);
  t.equal(look(), 'demoted');
  t.equal(line.pings, 1, 'one question at a time');
  t.equal(look(), 'demoted', 'nothing waits here, and yet');
  viewers.onPong(connection);
  t.equal(connection.state.phase, 'live');
  viewers.onPong(connection);
  t.equal(connection.state.phase, 'live', 'an answer nobody asked for is none');
});

t.test('B-4: who answers late but is sent little meanwhile is not slow', async (t) => {
  const { clock, viewers, connection, line, look, send } = setUp();
  send(LIMITS.readProofEveryKib);
  look();
  await clock.pass(10 * LIMITS.readProofMs);
  send(LIMITS.readProofOverdueKib - 1);
  t.equal(look(), 'live');
  viewers.onPong(connection);
  send(LIMITS.readProofEveryKib - LIMITS.readProofOverdueKib);
  look();
  t.equal(line.pings, 1, 'counted from the ping that was answered');
  send(1);
  look();
  t.equal(line.pings, 2);
  viewers.onPong(connection);
  send(LIMITS.readProofEveryKib);
  await clock.pass(LIMITS.readProofPauseMs - 100);
  look();
  t.equal(line.pings, 2, 'asked a moment ago');
  await clock.pass(100);
  look();
  t.equal(line.pings, 3);
});

t.test('B-1 B-4: who is slow in both ways comes back when neither holds', async (t) => {
  const { viewers, connection, line, look, send } = setUp();
  send(LIMITS.readProofEveryKib);
  look();
  line.buffered = 100 * KIB;
  t.equal(look(), 'demoted');
  line.buffered = 0;
  viewers.onDrain(connection);
  t.equal(connection.state.phase, 'demoted', 'the answer is missing');
  viewers.onPong(connection);
  t.equal(connection.state.phase, 'live');
});
