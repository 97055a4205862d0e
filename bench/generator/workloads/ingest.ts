/**
 * People who only write: chat in bunches of one write each, as fast as it is answered or on a
 * schedule. Answers are counted one by one; what the rooms broadcast is read and thrown away, so
 * that a generator process has its time for what is measured.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CODECS } from '../../../src/protocol/codec.ts';
import type { ErrorMessage, Ok } from '../../../src/protocol/messages.ts';
import type { WireVariant } from '../../scenarios/common-flags.ts';
import type { Access, Gate } from '../../scenarios/target.ts';
import { sourceAddress, tokenMaker, VARIANTS } from '../access.ts';
import type { Workload, WorkloadContext, WorkloadRun } from '../contract.ts';
import { decode, kindOf } from '../frame-cache.ts';
import { emitDueWork, Pacer, steady } from '../schedule.ts';
import { Timers } from '../timers.ts';
import { binaryFrame, RawSocket, textFrame } from '../websocket.ts';

export interface IngestParams {
  readonly gate: Gate;
  /** Person i is in show i mod their number, and is user `p<i / their number>` there. */
  readonly shows: ReadonlyArray<{ readonly show: string; readonly access: Access }>;
  readonly variant: WireVariant;
  /** In all shards together. */
  readonly people: number;
  readonly joinPerSecond: number;
  /** Messages of one write. */
  readonly bunch: number;
  /** UTF-16 units of a message. */
  readonly chars: number;
  /** How long `stop` waits for answers under way; 5 s unless given. */
  readonly answerWaitMs?: number;
}

export type IngestCommand =
  /** From `atMs` for `forMs` everybody writes the next bunch as soon as the last is answered. */
  | { readonly do: 'flood'; readonly atMs: number; readonly forMs: number }
  /** From `atMs` for `forMs` bunches are due on a schedule, person after person. */
  | { readonly do: 'write'; readonly atMs: number; readonly forMs: number; readonly perSecond: number };

/** What `stop` returns. */
export interface IngestSummary {
  readonly connected: number;
  readonly unanswered: number;
  /** Largest message number that was answered, by show. */
  readonly lastIds: Readonly<Record<string, number>>;
}

const ANSWER_WAIT_MS = 5_000;
/**
 * A refusal must not turn the flood into a loop of refusals: such a bunch is followed after a
 * pause.
 */
const REFUSED_PAUSE_MS = 100;
const MESSAGES_A_LOOK = 64;

export const ingest: Workload<IngestParams, IngestCommand> = {
  name: 'ingest',
  prepare: async (context) => new Ingest(context),
};

interface Writer {
  readonly person: number;
  readonly show: string;
  socket: RawSocket | null;
  welcomed: boolean;
  /** Due moment of each message without an answer. */
  readonly open: Map<number, number>;
  flooding: boolean;
  refused: boolean;
}

class Ingest implements WorkloadRun<IngestCommand> {
  readonly #context: WorkloadContext<IngestParams>;
  readonly #writers: Writer[] = [];
  readonly #tokens: Array<(person: number) => string | null>;
  readonly #text: string;
  readonly #note;
  readonly #pacers: Pacer[] = [];
  readonly #timers: Timers;
  readonly #lastIds: Record<string, number> = {};
  #nextId = 1;
  #messages = 0;
  #floodUntilMs = 0;
  #stopped = false;

  constructor(context: WorkloadContext<IngestParams>) {
    this.#context = context;
    this.#timers = new Timers(context.nowMs);
    const { params, shard, recorder } = context;
    for (let person = shard.index; person < params.people; person += shard.of) {
      const show = params.shows[person % params.shows.length]?.show ?? '';
      this.#writers.push({
        person,
        show,
        socket: null,
        welcomed: false,
        open: new Map(),
        flooding: false,
        refused: false,
      });
    }
    this.#tokens = params.shows.map(({ show, access }) => tokenMaker(access, show, 'viewer'));
    this.#text = 'nice one, size M please '.repeat(Math.ceil(params.chars / 24)).slice(0, params.chars);
    this.#note = {
      sent: recorder.counter('chat sent'),
      accepted: recorder.counter('chat accepted'),
      writers: recorder.gauge('writers'),
      flood: recorder.latency('answer, flat out'),
      answer: recorder.latency('answer'),
    };
  }

  start(atMs: number): void {
    const { people, joinPerSecond } = this.#context.params;
    this.#pace(steady(joinPerSecond, (people * 1000) / joinPerSecond), atMs, (_, person) => {
      const writer = this.#own(person);
      if (writer !== undefined) this.#join(writer);
    });
  }

  command(command: IngestCommand): void {
    const { atMs, forMs } = command;
    if (command.do === 'flood') this.#timers.at(atMs, () => this.#flood(atMs + forMs));
    else {
      const { bunch, people } = this.#context.params;
      this.#pace(steady(command.perSecond / bunch, forMs), atMs, (dueMs, i) => {
        const writer = this.#own(i % people);
        if (writer === undefined) return;
        this.#context.recorder.sent(dueMs);
        this.#write(writer, dueMs);
      });
    }
  }

  async stop(): Promise<IngestSummary> {
    const { nowMs, recorder, params } = this.#context;
    this.#floodUntilMs = 0;
    for (const pacer of this.#pacers) pacer.stop();
    this.#timers.clear();
    const untilMs = nowMs() + (params.answerWaitMs ?? ANSWER_WAIT_MS);
    while (nowMs() < untilMs && this.#writers.some(({ open }) => open.size > 0)) await sleep(10);
    this.#stopped = true;
    const unanswered = this.#writers.reduce((sum, { open }) => sum + open.size, 0);
    if (unanswered > 0) recorder.refused('unanswered', unanswered);
    const connected = this.#writers.filter(({ welcomed }) => welcomed).length;
    for (const { socket } of this.#writers) socket?.destroy();
    return { connected, unanswered, lastIds: this.#lastIds };
  }

  #join(writer: Writer): void {
    const { gate, shows, variant } = this.#context.params;
    const token = this.#tokens[writer.person % shows.length]?.(Math.floor(writer.person / shows.length)) ?? null;
    const localAddress = sourceAddress(gate.host, writer.person);
    writer.socket = new RawSocket(
      {
        ...gate,
        path: `${gate.pathPrefix}/v1/shows/${writer.show}`,
        protocols: [`stampede.v1.${VARIANTS[variant]}`, ...(token === null ? [] : [`token.${token}`])],
        ...(localAddress === undefined ? {} : { localAddress }),
      },
      {
        onMessage: (payload, binary) => this.#hear(writer, payload, binary),
        onClose: (code) => this.#onClose(writer, code),
      },
    );
  }

  #hear(writer: Writer, payload: Buffer, binary: boolean): void {
    if (++this.#messages % MESSAGES_A_LOOK === 0) emitDueWork();
    const kind = kindOf(payload, binary);
    if (kind === 'frame') return;
    const message = decode(payload, binary);
    if (message.t === 'welcome') {
      writer.welcomed = true;
      this.#note.writers.add(1);
    } else if (message.t === 'ok' || message.t === 'error') this.#onAnswer(writer, message);
  }

  #onAnswer(writer: Writer, answer: Ok | ErrorMessage): void {
    const id = answer.id as number;
    const dueMs = writer.open.get(id);
    if (dueMs === undefined) throw new Error(`an answer to nothing that was asked: ${JSON.stringify(answer)}`);
    writer.open.delete(id);
    const nowMs = this.#context.nowMs();
    if (answer.t === 'error') {
      this.#context.recorder.refused(answer.code);
      writer.refused = true;
    } else {
      this.#note.accepted.add();
      (writer.flooding ? this.#note.flood : this.#note.answer).record(nowMs - dueMs);
      const { chat } = (answer.data ?? {}) as { chat?: number };
      if (chat !== undefined && chat > (this.#lastIds[writer.show] ?? 0)) this.#lastIds[writer.show] = chat;
    }
    if (writer.flooding && writer.open.size === 0) this.#next(writer, nowMs);
  }

  #next(writer: Writer, nowMs: number): void {
    writer.flooding = nowMs < this.#floodUntilMs && writer.socket !== null;
    if (!writer.flooding) return;
    if (!writer.refused) return this.#write(writer, nowMs);
    writer.refused = false;
    this.#timers.at(nowMs + REFUSED_PAUSE_MS, () =>
      this.#context.nowMs() < this.#floodUntilMs ? this.#write(writer, this.#context.nowMs()) : undefined,
    );
  }

  #flood(untilMs: number): void {
    this.#floodUntilMs = untilMs;
    const nowMs = this.#context.nowMs();
    for (const writer of this.#writers) {
      writer.refused = false;
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
    this.#note.sent.add(bunch);
    writer.socket.sendFrames(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
  }

  #onClose(writer: Writer, code: number): void {
    if (this.#stopped) return;
    const { recorder } = this.#context;
    recorder.refused(code >= 400 && code < 600 ? `http_${code}` : `closed_${code}`);
    if (writer.open.size > 0) recorder.refused('unanswered', writer.open.size);
    if (writer.welcomed) this.#note.writers.add(-1);
    Object.assign(writer, { socket: null, welcomed: false, flooding: false });
    writer.open.clear();
  }

  #own(person: number): Writer | undefined {
    const { index, of } = this.#context.shard;
    return person % of === index ? this.#writers[(person - index) / of] : undefined;
  }

  #pace(schedule: Generator<number, void>, atMs: number, emit: (dueMs: number, index: number) => void): void {
    if (!this.#stopped) this.#pacers.push(new Pacer(schedule, atMs, this.#context.nowMs, emit));
  }
}
