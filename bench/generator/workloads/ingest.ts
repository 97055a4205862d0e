/**
 * The workload `ingest`: writers send chat in batches of one write each, as fast as replies come or
 * on a schedule. Replies are counted one by one. Broadcasts are read and dropped, so that the
 * generator has its time for what is measured.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CODECS } from '../../../src/protocol/codec.ts';
import type { ErrorMessage, Ok } from '../../../src/protocol/messages.ts';
import type { WireVariant } from '../../scenarios/common-flags.ts';
import type { Access, GatewayAddress } from '../../scenarios/target.ts';
import { sourceAddress, tokenMaker, VARIANTS } from '../access.ts';
import type { Workload, WorkloadContext, WorkloadRun } from '../contract.ts';
import { decode, kindOf } from '../frame-cache.ts';
import { emitDueWork, Pacer, steady } from '../schedule.ts';
import { Timers } from '../timers.ts';
import { binaryFrame, RawSocket, textFrame } from '../websocket.ts';

export interface IngestParams {
  readonly gateway: GatewayAddress;
  /** User i is in show i mod the number of shows. Its id there is `p<i / number of shows>`. */
  readonly shows: ReadonlyArray<{ readonly show: string; readonly access: Access }>;
  readonly variant: WireVariant;
  /** In all shards together. */
  readonly users: number;
  readonly joinPerSecond: number;
  readonly bunch: number;
  /** UTF-16 units of a message. */
  readonly chars: number;
  /** How long `stop` waits for open requests; 5 s unless given. */
  readonly replyWaitMs?: number;
}

export type IngestCommand =
  /** All writers send the next batch as soon as the last has its replies. */
  | { readonly do: 'flood'; readonly atMs: number; readonly forMs: number }
  /** Batches are due on a schedule, one writer after the other. */
  | { readonly do: 'write'; readonly atMs: number; readonly forMs: number; readonly perSecond: number };

export type IngestSummary = Awaited<ReturnType<Ingest['stop']>>;

const REPLY_WAIT_MS = 5_000;
/** After a refusal the next batch waits, so that a flood does not become a loop of refusals. */
const REFUSED_PAUSE_MS = 100;
const MESSAGES_BETWEEN_EMITS = 64;

export const ingest: Workload<IngestParams, IngestCommand> = {
  name: 'ingest',
  prepare: async (context) => new Ingest(context),
};

interface Writer {
  readonly userIndex: number;
  readonly show: string;
  socket: RawSocket | null;
  welcomed: boolean;
  /** Due time of each message without a reply. */
  readonly open: Map<number, number>;
  isFlooding: boolean;
  wasRefused: boolean;
}

class Ingest implements WorkloadRun<IngestCommand> {
  readonly #context: WorkloadContext<IngestParams>;
  readonly #writers: Writer[] = [];
  readonly #tokens: Array<(userIndex: number) => string | null>;
  readonly #text: string;
  readonly #meters;
  readonly #pacers: Pacer[] = [];
  readonly #timers: Timers;
  /** Largest id of an accepted message, by show. */
  readonly #lastIds: Record<string, number> = {};
  #nextId = 1;
  #messages = 0;
  #floodUntilMs = 0;
  #isOver = false;

  constructor(context: WorkloadContext<IngestParams>) {
    this.#context = context;
    this.#timers = new Timers(context.nowMs);
    const { params, shard, recorder } = context;
    for (let userIndex = shard.index; userIndex < params.users; userIndex += shard.of) {
      const show = params.shows[userIndex % params.shows.length]?.show ?? '';
      const state = { socket: null, welcomed: false, isFlooding: false, wasRefused: false };
      this.#writers.push({ userIndex, show, open: new Map(), ...state });
    }
    this.#tokens = params.shows.map(({ show, access }) => tokenMaker(access, show, 'viewer'));
    this.#text = 'nice one, size M please '.repeat(Math.ceil(params.chars / 24)).slice(0, params.chars);
    this.#meters = {
      sent: recorder.counter('chat sent'),
      accepted: recorder.counter('chat accepted'),
      writers: recorder.gauge('writers'),
      flood: recorder.latency('reply, flat out'),
      reply: recorder.latency('reply'),
    };
  }

  start(atMs: number): void {
    const { users, joinPerSecond } = this.#context.params;
    this.#pace(steady(joinPerSecond, (users * 1000) / joinPerSecond), atMs, (_, userIndex) => {
      const writer = this.#own(userIndex);
      if (writer !== undefined) this.#join(writer);
    });
  }

  command(command: IngestCommand): void {
    const { atMs, forMs } = command;
    if (command.do === 'flood') return this.#timers.at(atMs, () => this.#flood(atMs + forMs));
    const { bunch, users } = this.#context.params;
    this.#pace(steady(command.perSecond / bunch, forMs), atMs, (dueMs, i) => {
      const writer = this.#own(i % users);
      if (writer === undefined) return;
      this.#context.recorder.sent(dueMs);
      this.#write(writer, dueMs);
    });
  }

  async stop() {
    const { nowMs, recorder, params } = this.#context;
    this.#floodUntilMs = 0;
    for (const pacer of this.#pacers) pacer.stop();
    this.#timers.clear();
    const untilMs = nowMs() + (params.replyWaitMs ?? REPLY_WAIT_MS);
    while (nowMs() < untilMs && this.#writers.some(({ open }) => open.size > 0)) await sleep(10);
    this.#isOver = true;
    const unanswered = this.#writers.reduce((sum, { open }) => sum + open.size, 0);
    if (unanswered > 0) recorder.refused('unanswered', unanswered);
    const connected = this.#writers.filter(({ welcomed }) => welcomed).length;
    for (const { socket } of this.#writers) socket?.destroy();
    return { connected, unanswered, lastIds: this.#lastIds };
  }

  #join(writer: Writer): void {
    const { gateway, shows, variant } = this.#context.params;
    const token = this.#tokens[writer.userIndex % shows.length]?.(Math.floor(writer.userIndex / shows.length)) ?? null;
    const localAddress = sourceAddress(gateway.host, writer.userIndex);
    writer.socket = new RawSocket(
      {
        ...gateway,
        path: `${gateway.pathPrefix}/v1/shows/${writer.show}`,
        protocols: [`stampede.v1.${VARIANTS[variant]}`, ...(token === null ? [] : [`token.${token}`])],
        ...(localAddress === undefined ? {} : { localAddress }),
      },
      {
        onMessage: (payload, binary) => this.#receive(writer, payload, binary),
        onClose: (code) => this.#onClose(writer, code),
      },
    );
  }

  #receive(writer: Writer, payload: Buffer, binary: boolean): void {
    if (++this.#messages % MESSAGES_BETWEEN_EMITS === 0) emitDueWork();
    if (kindOf(payload, binary) === 'frame') return;
    const message = decode(payload, binary);
    if (message.t === 'welcome') {
      writer.welcomed = true;
      this.#meters.writers.add(1);
    } else if (message.t === 'ok' || message.t === 'error') this.#onReply(writer, message);
  }

  #onReply(writer: Writer, reply: Ok | ErrorMessage): void {
    const id = reply.id as number;
    const dueMs = writer.open.get(id);
    if (dueMs === undefined) throw new Error(`a reply to no open request: ${JSON.stringify(reply)}`);
    writer.open.delete(id);
    const nowMs = this.#context.nowMs();
    if (reply.t === 'error') {
      this.#context.recorder.refused(reply.code);
      writer.wasRefused = true;
    } else {
      this.#meters.accepted.add();
      (writer.isFlooding ? this.#meters.flood : this.#meters.reply).record(nowMs - dueMs);
      const { chat } = (reply.data ?? {}) as { chat?: number };
      if (chat !== undefined && chat > (this.#lastIds[writer.show] ?? 0)) this.#lastIds[writer.show] = chat;
    }
    if (writer.isFlooding && writer.open.size === 0) this.#next(writer, nowMs);
  }

  #next(writer: Writer, nowMs: number): void {
    writer.isFlooding = nowMs < this.#floodUntilMs && writer.socket !== null;
    if (!writer.isFlooding) return;
    if (!writer.wasRefused) return this.#write(writer, nowMs);
    writer.wasRefused = false;
    this.#timers.at(nowMs + REFUSED_PAUSE_MS, () => {
      const laterMs = this.#context.nowMs();
      if (laterMs < this.#floodUntilMs) this.#write(writer, laterMs);
    });
  }

  #flood(untilMs: number): void {
    this.#floodUntilMs = untilMs;
    const nowMs = this.#context.nowMs();
    for (const writer of this.#writers) {
      writer.wasRefused = false;
      this.#next(writer, nowMs);
    }
  }

  #write(writer: Writer, dueMs: number): void {
    const { bunch, variant } = this.#context.params;
    if (writer.socket === null) return this.#context.recorder.refused('not_connected', bunch);
    const codec = CODECS[VARIANTS[variant]];
    const frames: Buffer[] = [];
    for (let i = 0; i < bunch; i++) {
      const id = this.#nextId++;
      writer.open.set(id, dueMs);
      const data = codec.encode({ t: 'chat', id, text: this.#text } as never);
      frames.push(typeof data === 'string' ? textFrame(data) : binaryFrame(data));
    }
    this.#meters.sent.add(bunch);
    writer.socket.sendFrames(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
  }

  #onClose(writer: Writer, code: number): void {
    if (this.#isOver) return;
    const { recorder } = this.#context;
    recorder.refused(code >= 400 && code < 600 ? `http_${code}` : `closed_${code}`);
    if (writer.open.size > 0) recorder.refused('unanswered', writer.open.size);
    if (writer.welcomed) this.#meters.writers.add(-1);
    Object.assign(writer, { socket: null, welcomed: false, isFlooding: false });
    writer.open.clear();
  }

  #own(userIndex: number): Writer | undefined {
    const { index, of } = this.#context.shard;
    return userIndex % of === index ? this.#writers[(userIndex - index) / of] : undefined;
  }

  #pace(schedule: Generator<number, void>, atMs: number, emit: (dueMs: number, index: number) => void): void {
    if (!this.#isOver) this.#pacers.push(new Pacer(schedule, atMs, this.#context.nowMs, emit));
  }
}
