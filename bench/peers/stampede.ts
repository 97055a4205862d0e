/**
 * Stampede itself, through the same interface: one gateway process as it is deployed, a Redis of its own, and as many writers as the rate needs under the limits of the
 * protocol. Writers stop reading once they are in, as phones in a pocket do; the engine takes such off the chat lane, so that those who count as the room are the subscribers.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { packValue } from '../../src/protocol/codec.ts';
import { LIMITS } from '../../src/protocol/limits.ts';
import { subprotocolOf, TOKEN_PROTOCOL_PREFIX, type Variant } from '../../src/protocol/messages.ts';
import { type BenchEngine, startBenchEngine } from '../harness/engine.ts';
import { builtProgram } from '../harness/program.ts';
import type { AppendMode } from '../harness/redis.ts';
import { Line } from './line.ts';
import { messageText } from './message.ts';
import { pace } from './pace.ts';
import type { Peer } from './peer.ts';
import { findProgram } from './processes.ts';
import { clientFrame, OPCODE } from './websocket-frames.ts';

const HOST = '127.0.0.1';
const SHOW = 'compare';
/** Of what a connection may write, so that uneven turns of our timer never hit the limit. */
const RATE_SHARE = 0.8;
const WRITERS_AT_ONCE = 100;
/** Enough chat to fill the buffers of writers that do not read, and a sweep of the engine that sees it. */
const FILL = { perSecond: 3_000, forMs: 2_000 };
const SWEEP_MS = 1_500;

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

export async function startStampede({ variant, append }: { variant: Variant; append: AppendMode }): ReturnType<Peer['start']> {
  const engine = await startBenchEngine({ append });
  const writers: Line[] = [];
  let number = 0;
  let requests = 0;
  try {
    await openShow(engine);
  } catch (error) {
    await engine.stop();
    throw error;
  }
  const publish = (next: number, dueMicros: number): void => {
    const chat = packValue({ t: 'chat', id: ++requests, text: messageText(next, dueMicros) });
    writers[next % writers.length]?.write(clientFrame(OPCODE.binary, chat));
  };
  const offer: Awaited<ReturnType<Peer['start']>>['offer'] = async (wanted) => {
    const offered = await pace({ ...wanted, firstNumber: number, publish, flush: () => false });
    number += offered.sent;
    return offered;
  };
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
    async prepare(perSecond) {
      const needed = Math.ceil(perSecond / (LIMITS.chatRatePerConnectionPerSecond * RATE_SHARE));
      if (needed <= writers.length) return;
      while (writers.length < needed) {
        const some = Math.min(WRITERS_AT_ONCE, needed - writers.length);
        writers.push(...(await Promise.all(Array.from({ length: some }, (_, i) => openWriter(engine, `writer-${writers.length + i}`)))));
      }
      const affordable = writers.length * LIMITS.chatRatePerConnectionPerSecond * RATE_SHARE;
      await offer({ ...FILL, perSecond: Math.min(FILL.perSecond, affordable) });
      await sleep(SWEEP_MS);
    },
    offer,
    async stop() {
      for (const writer of writers) writer.destroy();
      await engine.stop();
    },
  };
}

async function openShow({ store }: BenchEngine): Promise<void> {
  const made = await store.createShow({ id: SHOW, title: 'Compare', guests: true, brands: [{ id: 'brand', name: 'Brand' }] }, 'bench');
  const started = made.ok ? await store.startShow(SHOW, 'bench') : made;
  if (!started.ok) throw new Error(`bench set-up: ${started.error.message}`);
}

/** In, and reading no more. */
function openWriter(engine: BenchEngine, user: string): Promise<Line> {
  return new Promise((resolve, reject) => {
    const line: Line = new Line(
      {
        host: HOST,
        port: engine.port,
        path: `/v1/shows/${SHOW}`,
        protocols: [subprotocolOf('msgpack'), `${TOKEN_PROTOCOL_PREFIX}${engine.token(SHOW, user, 'viewer')}`],
      },
      {
        onOpen() {},
        onFrame() {
          line.pause();
          resolve(line);
        },
        onClose: (why) => reject(new Error(`a writer: ${why}`)),
      },
    );
  });
}
