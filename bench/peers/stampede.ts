/**
 * Stampede itself, through the same interface: one gateway process as it is deployed and a Redis of
 * its own. One publisher writes for the whole room, as with the others: for that the rates of a
 * single person are lifted by their settings, and nothing else.
 */
import { packValue } from '../../src/protocol/codec.ts';
import { subprotocolOf, TOKEN_PROTOCOL_PREFIX, type Variant } from '../../src/protocol/messages.ts';
import { type BenchEngine, startBenchEngine } from '../launch/engine.ts';
import { builtProgram } from '../launch/program.ts';
import type { AppendMode } from '../launch/redis-server.ts';
import { Line } from './line.ts';
import { MESSAGE_BYTES, messageText, writeMessage } from './message.ts';
import { WAITING_BYTES_MAX } from './node-peers.ts';
import { pace } from './pace.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { findProgram } from './processes.ts';
import { clientFrame, OPCODE } from './websocket-frames.ts';

const HOST = '127.0.0.1';
const SHOW = 'compare';
export const stampede: Peer = {
  name: 'stampede',
  about: 'the whole path: socket, checks, Redis, relay, frame, socket',
  startPerSecond: 500,
  async missing() {
    if (builtProgram() === null) return 'the engine is not built (npm run build)';
    return findProgram('redis-server') === null ? 'redis-server is not installed' : null;
  },
  start: () => startStampede({ variant: 'msgpack', append: 'everysec' }),
};

export async function startStampede({
  variant,
  append,
}: {
  variant: Variant;
  append: AppendMode;
}): Promise<RunningPeer> {
  const engine = await startBenchEngine({ append, env: { CHAT_PER_SECOND: '100000', REQUESTS_PER_SECOND: '100000' } });
  try {
    await openShow(engine);
    const publisher = await openPublisher(engine);
    let number = 0;
    const frames = new ChatFrames();
    return {
      subscription: {
        host: HOST,
        port: engine.port,
        path: `/v1/shows/${SHOW}`,
        protocols: [subprotocolOf(variant)],
        dialect: { kind: 'stampede', variant },
      },
      processes: [
        { name: 'gateway', pid: engine.pid },
        { name: 'redis', pid: engine.redis.pid },
      ],
      async offer(wanted) {
        const offered = await pace({
          ...wanted,
          firstNumber: number,
          publish: (next, dueMicros) => frames.add(next, dueMicros),
          flush() {
            frames.writeTo(publisher);
            return publisher.waitingBytes > WAITING_BYTES_MAX;
          },
        });
        number += offered.sent;
        return offered;
      },
      async stop() {
        publisher.destroy();
        await engine.stop();
      },
    };
  } catch (error) {
    await engine.stop();
    throw error;
  }
}

const FIRST_ID = 0x8000_0000;
const FRAME = clientFrame(OPCODE.binary, packValue({ t: 'chat', id: FIRST_ID, text: messageText(0, 0) }));
const ID_AT = FRAME.indexOf(Buffer.of(0xce, 0x80, 0, 0, 0)) + 1;
const TEXT_AT = FRAME.length - MESSAGE_BYTES;

/**
 * The publisher's messages. All are the same bytes but for id and text, so none is packed by
 * itself: the publisher shares the machine with what it measures.
 */
class ChatFrames {
  #due: Array<readonly [number: number, dueMicros: number]> = [];

  add(number: number, dueMicros: number): void {
    this.#due.push([number, dueMicros]);
  }

  writeTo(line: Line): void {
    if (this.#due.length === 0) return;
    const bytes = Buffer.allocUnsafe(this.#due.length * FRAME.length);
    for (const [i, [number, dueMicros]] of this.#due.entries()) {
      const at = i * FRAME.length;
      FRAME.copy(bytes, at);
      bytes.writeUInt32BE(FIRST_ID + (number % FIRST_ID), at + ID_AT);
      writeMessage(bytes, at + TEXT_AT, number, dueMicros);
    }
    this.#due = [];
    line.write(bytes);
  }
}

async function openShow({ store }: BenchEngine): Promise<void> {
  const made = await store.createShow(
    { id: SHOW, title: 'Compare', guests: true, brands: [{ id: 'brand', name: 'Brand' }] },
    'bench',
  );
  const started = made.ok ? await store.startShow(SHOW, 'bench') : made;
  if (!started.ok) throw new Error(`bench set-up: ${started.error.message}`);
}

/**
 * In the room with a token, and welcomed. It is sent what everybody is sent, and its answers; it
 * looks at none of it.
 */
function openPublisher(engine: BenchEngine): Promise<Line> {
  return new Promise((resolve, reject) => {
    const line: Line = new Line(
      {
        host: HOST,
        port: engine.port,
        path: `/v1/shows/${SHOW}`,
        protocols: [subprotocolOf('msgpack'), `${TOKEN_PROTOCOL_PREFIX}${engine.token(SHOW, 'publisher', 'viewer')}`],
      },
      { onOpen() {}, onFrame: () => resolve(line), onClose: (why) => reject(new Error(`the publisher: ${why}`)) },
    );
  });
}
