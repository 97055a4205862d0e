/**
 * The bare server of the rush: the simplest program that decides reservations over WebSockets. One
 * script call decides a batch under the engine's batching rule: repeated key, limit per buyer,
 * stock, record. It has no token check (the buyer follows `token.`), validation, ledger, events,
 * waitlist, expiry, sale window, prices, local refusals, rate limits, metrics or retries.
 *
 * The caller creates the sale of a show: the hash `sale:<show>` with `left` and `perBuyer`.
 */
import { App, us_socket_local_port, type WebSocket } from 'uWebSockets.js';
import { Redis } from 'ioredis';
import { LIMITS } from '../../../src/limits.ts';
import type { ClientMessage, ReservationView } from '../../../src/protocol/messages.ts';

type Reserve = Extract<ClientMessage, { t: 'reserve' }>;
type Viewer = { readonly user: string; readonly queue: Queue; closed: boolean };
type Pending = Readonly<{ viewer: Viewer; socket: WebSocket<Viewer>; message: Reserve }>;

const PRICE = 1000;
const HOLD_MS = 900_000;
const VALUES_A_REQUEST = 4;
const TAKEN = '+';

/** Returns per request: `+`, the existing record of its key, or an error code. */
const DECIDE = `
local sale, buyers, reservations = KEYS[1], KEYS[2], KEYS[3]
local limit = assert(tonumber(redis.call('HGET', sale, 'perBuyer')), 'no such sale')
local results = {}
for at = 1, #ARGV, ${VALUES_A_REQUEST} do
  local id, user, qty, record = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local result = redis.call('HGET', reservations, id)
  if not result then
    if redis.call('HINCRBY', buyers, user, qty) > limit then
      redis.call('HINCRBY', buyers, user, -qty)
      result = 'limit_exceeded'
    elseif redis.call('HINCRBY', sale, 'left', -qty) < 0 then
      redis.call('HINCRBY', sale, 'left', qty)
      redis.call('HINCRBY', buyers, user, -qty)
      result = 'sold_out'
    else
      redis.call('HSET', reservations, id, record)
      result = '${TAKEN}'
    end
  end
  results[#results + 1] = result
end
return results`;

const [redisPath = ''] = process.argv.slice(2);
const redis = new Redis({ path: redisPath });
const script = (await redis.script('LOAD', DECIDE)) as string;

/** Batches the requests of a show. A second call starts only if a full batch is waiting. */
class Queue {
  private readonly keys: readonly [string, string, string];
  private waiting: Pending[] = [];
  private inFlight = 0;

  constructor(show: string) {
    this.keys = [`sale:${show}`, `buyers:${show}`, `reservations:${show}`];
  }

  push(request: Pending): void {
    this.waiting.push(request);
    this.pump();
  }

  private pump(): void {
    while (
      this.waiting.length > 0 &&
      (this.inFlight === 0 ||
        (this.inFlight < LIMITS.reserveBatchesInFlightMax && this.waiting.length >= LIMITS.reserveBatchMax))
    ) {
      this.inFlight++;
      void this.decide(this.waiting.splice(0, LIMITS.reserveBatchMax)).finally(() => {
        this.inFlight--;
        this.pump();
      });
    }
  }

  private async decide(batch: readonly Pending[]): Promise<void> {
    const now = Date.now();
    const args: Array<string | number> = [];
    for (const { viewer, message } of batch) {
      const record = recordOf(viewer.user, message, now);
      args.push(record.id, viewer.user, message.lines[0]?.qty ?? 0, JSON.stringify(record));
    }
    const results = (await redis.evalsha(script, this.keys.length, ...this.keys, ...args).catch(() => [])) as string[];
    const at = Date.now();
    for (const [i, { viewer, socket, message }] of batch.entries()) {
      const result = results[i] ?? 'internal';
      const record =
        result === TAKEN ? args[i * VALUES_A_REQUEST + VALUES_A_REQUEST - 1] : result.startsWith('{') ? result : null;
      const reply =
        record === null
          ? `{"t":"error","id":${message.id},"at":${at},"code":"${result}"}`
          : `{"t":"ok","id":${message.id},"at":${at},"data":{"reservation":${record}}}`;
      if (!viewer.closed) socket.send(reply);
    }
  }
}

function recordOf(user: string, { key, sale, lines }: Reserve, now: number): ReservationView {
  return {
    id: `${user}:${key}`,
    sale,
    user,
    state: 'held',
    lines,
    amount: PRICE * (lines[0]?.qty ?? 0),
    currency: 'EUR',
    createdAt: now,
    heldUntil: now + HOLD_MS,
  };
}

const queues = new Map<string, Queue>();

function queueOf(show: string): Queue {
  const queue = queues.get(show) ?? new Queue(show);
  queues.set(show, queue);
  return queue;
}

const app = App().ws<Viewer>('/v1/shows/:show', {
  idleTimeout: 960,
  upgrade(response, request, context) {
    const offered = request.getHeader('sec-websocket-protocol').split(', ');
    const user = offered.find((name) => name.startsWith('token.'))?.slice('token.'.length) ?? '';
    response.upgrade<Viewer>(
      { user, queue: queueOf(request.getParameter(0) ?? ''), closed: false },
      request.getHeader('sec-websocket-key'),
      offered[0] ?? '',
      request.getHeader('sec-websocket-extensions'),
      context,
    );
  },
  open: (socket) => void socket.send(`{"t":"welcome","v":1,"at":${Date.now()}}`),
  message(socket, bytes) {
    const viewer = socket.getUserData();
    viewer.queue.push({ viewer, socket, message: JSON.parse(Buffer.from(bytes).toString()) as Reserve });
  },
  close: (socket) => {
    socket.getUserData().closed = true;
  },
});

process.once('disconnect', () => process.exit(0));
app.listen('127.0.0.1', 0, (listening) => {
  if (listening === false) process.exit(1);
  process.send?.({ port: us_socket_local_port(listening) });
});
