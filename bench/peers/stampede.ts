/** Stampede as a peer: one gateway, a dedicated Redis, one publisher without rate limits. */
import { packValue } from '../../src/protocol/codec.ts';
import { subprotocolOf, TOKEN_PROTOCOL_PREFIX, type Variant } from '../../src/protocol/messages.ts';
import { binaryFrame, RawSocket } from '../generator/websocket.ts';
import { type BenchEngine, startBenchEngine } from '../launch/engine.ts';
import { builtProgram } from '../launch/program.ts';
import { MESSAGE_BYTES, messageText, writeMessage } from './message.ts';
import { outletOf } from './node-peers.ts';
import { publishing } from './pace.ts';
import type { Peer } from './peer.ts';
import { findProgram } from './processes.ts';

const HOST = '127.0.0.1';
const SHOW = 'compare';
const PATH = `/v1/shows/${SHOW}`;
const VARIANT: Variant = 'msgpack';
const PROTOCOL = subprotocolOf(VARIANT);
const DIALECT = { kind: 'stampede', variant: VARIANT } as const;

export const stampede: Peer = {
  name: 'stampede',
  about: 'the whole path: socket, checks, Redis, relay, frame, socket',
  startPerSecond: 500,
  async missing() {
    if (builtProgram() === null) return 'the engine is not built (npm run build)';
    return findProgram('redis-server') === null ? 'redis-server is not installed' : null;
  },
  async start() {
    const env = { CHAT_PER_SECOND: '100000', REQUESTS_PER_SECOND: '100000' };
    const engine = await startBenchEngine({ append: 'everysec', env });
    try {
      await openShow(engine);
      return {
        subscription: { host: HOST, port: engine.port, path: PATH, protocols: [PROTOCOL], dialect: DIALECT },
        processes: [
          { name: 'gateway', pid: engine.pid },
          { name: 'redis', pid: engine.redis.pid },
        ],
        ...publishing(outletOf(await openPublisher(engine)), chatFrame, () => engine.stop()),
      };
    } catch (error) {
      await engine.stop();
      throw error;
    }
  },
};

const FIRST_ID = 0x8000_0000;
const FRAME = binaryFrame(packValue({ t: 'chat', id: FIRST_ID, text: messageText(0, 0) }));
const ID_AT = FRAME.indexOf(Buffer.of(0xce, 0x80, 0, 0, 0)) + 1;
const TEXT_AT = FRAME.length - MESSAGE_BYTES;

/** Patches id and text into a copy: the publisher shares the machine with what it measures. */
function chatFrame(number: number, dueMicros: number): Buffer {
  const frame = Buffer.from(FRAME);
  frame.writeUInt32BE(FIRST_ID + (number % FIRST_ID), ID_AT);
  writeMessage(frame, TEXT_AT, number, dueMicros);
  return frame;
}

async function openShow({ store }: BenchEngine): Promise<void> {
  const spec = { id: SHOW, title: 'Compare', guests: true, brands: [{ id: 'brand', name: 'Brand' }] };
  for (const result of [await store.createShow(spec, 'bench'), await store.startShow(SHOW, 'bench')])
    if (!result.ok) throw new Error(`the show cannot be prepared: ${result.error.message}`);
}

function openPublisher(engine: BenchEngine): Promise<RawSocket> {
  const token = engine.token(SHOW, 'publisher', 'viewer');
  const protocols = [PROTOCOL, `${TOKEN_PROTOCOL_PREFIX}${token}`];
  return new Promise((resolve, reject) => {
    const socket: RawSocket = new RawSocket(
      { host: HOST, port: engine.port, path: PATH, protocols },
      {
        onMessage: () => resolve(socket),
        onClose: (code) => reject(new Error(`the publisher's connection closed with ${code}`)),
      },
    );
  });
}
