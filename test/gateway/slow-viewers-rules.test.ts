/** When a viewer is demoted and restored: by its buffer, and by a ping without a pong. */
import t from 'tap';
import type { BroadcastGroup } from '../../src/fanout/broadcast-groups.ts';
import { Connection, GUEST, type SocketData } from '../../src/gateway/connection.ts';
import { SlowViewers } from '../../src/gateway/slow-viewers.ts';
import type { WebSocket } from '../../src/gateway/uws.ts';
import { LIMITS } from '../../src/limits.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** A live viewer with a simulated socket and room. */
function setUp() {
  const clock = new ManualClock();
  let demotions = 0;
  const viewers = new SlowViewers({ clock, metrics: { demotions: { inc: () => demotions++ } as never } });
  const group = { chatKib: 7, topics: { main: 'e', chat: 'c' } } as BroadcastGroup;
  const peer = { buffered: 0, pings: 0, closeCode: 0 };
  const socket = {
    getBufferedAmount: () => peer.buffered,
    ping: () => peer.pings++,
    end: (code: number) => (peer.closeCode = code),
    subscribe: () => true,
    unsubscribe: () => true,
    send: () => 1,
  };
  const room = {
    groups: { join: () => group, flush: () => {} },
    chatLane: { sentCount: 0 },
    resumer: { restoration: () => ({ in: () => new Uint8Array() }) },
  };
  const connection = new Connection(room as never, 'msgpack', GUEST, { address: 'a', connections: 1 }, null, null);
  connection.attach(socket as unknown as WebSocket<SocketData>);
  connection.joinBroadcastGroup();
  /** Calls the method and returns the phase of the viewer. */
  const after = (method: 'inspect' | 'onPong' | 'onDrain') => (): string => {
    viewers[method](connection);
    return connection.state.phase;
  };
  const [inspect, pong, drain] = [after('inspect'), after('onPong'), after('onDrain')];
  const send = (kib: number): void => {
    group.chatKib += kib;
  };
  return { clock, peer, inspect, pong, drain, send, demotions: () => demotions };
}

t.test('above the soft limit a viewer is demoted, above the hard limit it is closed (B-1.1, B-3)', async (t) => {
  const { peer, inspect, demotions } = setUp();
  peer.buffered = LIMITS.backpressureSoftBytes;
  t.equal(inspect(), 'live');
  peer.buffered = LIMITS.backpressureSoftBytes + 1;
  t.equal(inspect(), 'demoted');
  peer.buffered = 1;
  t.equal(inspect(), 'demoted', 'until the buffer is empty');
  peer.buffered = 0;
  t.equal(inspect(), 'live');
  t.equal(demotions(), 1);
  peer.buffered = LIMITS.backpressureHardBytes + 1;
  inspect();
  t.equal(peer.closeCode, 4001);
});

t.test('a viewer is pinged after much chat, and demoted while the pong is overdue (B-4.1, B-4.2)', async (t) => {
  const { clock, peer, inspect, pong, send } = setUp();
  send(LIMITS.readPingEveryKib - 1);
  inspect();
  t.equal(peer.pings, 0, 'chat before it joined does not count');
  send(1);
  t.equal(inspect(), 'live');
  t.equal(peer.pings, 1);
  send(LIMITS.readPingOverdueKib);
  t.equal(inspect(), 'live', 'the pong may take a while');
  await clock.pass(LIMITS.readPingTimeoutMs);
  t.equal(inspect(), 'demoted');
  t.equal(peer.pings, 1, 'one ping at a time');
  t.equal(inspect(), 'demoted', 'although the buffer is empty');
  t.equal(pong(), 'live');
  t.equal(pong(), 'live', 'an unrequested pong changes nothing');
});

t.test('a late pong is not overdue if little chat was sent since the ping (B-4.2)', async (t) => {
  const { clock, peer, inspect, pong, send } = setUp();
  send(LIMITS.readPingEveryKib);
  inspect();
  await clock.pass(10 * LIMITS.readPingTimeoutMs);
  send(LIMITS.readPingOverdueKib - 1);
  t.equal(inspect(), 'live');
  pong();
  send(LIMITS.readPingEveryKib - LIMITS.readPingOverdueKib);
  inspect();
  t.equal(peer.pings, 1, 'chat is counted from the ping that was returned');
  send(1);
  inspect();
  t.equal(peer.pings, 2);
  pong();
  send(LIMITS.readPingEveryKib);
  await clock.pass(LIMITS.readPingPauseMs - 100);
  inspect();
  t.equal(peer.pings, 2, 'not within the pause');
  await clock.pass(100);
  inspect();
  t.equal(peer.pings, 3);
});

t.test('a full buffer and a pending ping must both be resolved (B-1.1, B-4.2)', async (t) => {
  const { peer, inspect, pong, drain, send } = setUp();
  send(LIMITS.readPingEveryKib);
  inspect();
  peer.buffered = 100 * 1024;
  t.equal(inspect(), 'demoted');
  peer.buffered = 0;
  t.equal(drain(), 'demoted', 'the pong is missing');
  t.equal(pong(), 'live');
});
