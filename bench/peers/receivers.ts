/** The subscribers of a comparison. All count messages; some check numbers and measure latency. */
import { encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import type { Workload, WorkloadContext, WorkloadRun } from '../generator/contract.ts';
import { newHistogram } from '../generator/recorder.ts';
import { RawSocket } from '../generator/websocket.ts';
import { createDialect, type DialectSpec } from './dialects.ts';
import { nowMicros } from './message.ts';

export interface ReceiversParams {
  /** Name of the plot line that counts what they receive. */
  readonly label: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly protocols: readonly string[];
  readonly dialect: DialectSpec;
  readonly subscribers: number;
  /** How many of them check every message. */
  readonly watchers: number;
}

/** Requests a report with the same `ask`. */
export interface ReceiversCommand {
  readonly ask: number;
  /** Includes the latency, which takes time to encode. */
  readonly whole: boolean;
  /** Resets the counters afterwards. */
  readonly fresh: boolean;
}

/** What one process received since the counters were reset. */
export type Received = ReturnType<Receivers['read']>;

const CONNECTING_AT_ONCE = 100;
const JOIN_MS_MAX = 60_000;

export const receivers: Workload<ReceiversParams, ReceiversCommand, Received> = {
  name: 'peer-receivers',
  async prepare(context) {
    const group = new Receivers(context);
    await group.join();
    return group;
  },
};

class Receivers implements WorkloadRun<ReceiversCommand> {
  readonly #context: WorkloadContext<ReceiversParams, Received>;
  readonly #delivered;
  readonly #latencyMicros: Histogram = newHistogram();
  readonly #sockets: RawSocket[] = [];
  #messages = 0;
  #frames = 0;
  #missing = 0;
  #outOfOrder = 0;
  #open = 0;
  #bytesBefore = 0;
  #leaving = false;
  #cpu = process.cpuUsage();
  /** Read once per frame. */
  #nowMicros = 0;

  constructor(context: WorkloadContext<ReceiversParams, Received>) {
    this.#context = context;
    this.#delivered = context.recorder.counter(`${context.params.label} delivered`);
  }

  async join(): Promise<void> {
    const { params, shard } = this.#context;
    const mine = Array.from({ length: params.subscribers }, (_, i) => i).filter((i) => i % shard.of === shard.index);
    const every = Math.max(1, Math.floor(params.subscribers / Math.max(1, params.watchers)));
    const isWatcher = (i: number): boolean => i % every === 0 && i / every < params.watchers;
    for (let from = 0; from < mine.length; from += CONNECTING_AT_ONCE)
      await Promise.all(mine.slice(from, from + CONNECTING_AT_ONCE).map((i) => this.#joinOne(isWatcher(i))));
  }

  read({ ask, whole, fresh }: ReceiversCommand) {
    const bytesIn = this.#sockets.reduce((sum, socket) => sum + socket.bytesIn, 0);
    const cpu = process.cpuUsage(this.#cpu);
    const received = {
      ask,
      messages: this.#messages,
      frames: this.#frames,
      bytes: bytesIn - this.#bytesBefore,
      /** Messages that watchers should have received before a later one. */
      missing: this.#missing,
      outOfOrder: this.#outOfOrder,
      /** HdrHistogram V2, compressed, base64, microseconds since due; null if empty. */
      latency: !whole || this.#latencyMicros.totalCount === 0 ? null : encodeIntoCompressedBase64(this.#latencyMicros),
      open: this.#open,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
    };
    if (fresh) {
      this.#messages = this.#frames = this.#missing = this.#outOfOrder = 0;
      this.#bytesBefore = bytesIn;
      this.#latencyMicros.reset();
      this.#cpu = process.cpuUsage();
    }
    return received;
  }

  start(): void {}

  command(command: ReceiversCommand): void {
    this.#context.report(this.read(command));
  }

  async stop(): Promise<void> {
    this.#leaving = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #joinOne(isWatcher: boolean): Promise<void> {
    const { params, recorder } = this.#context;
    return new Promise((resolve, reject) => {
      const tooLate = new Error(`a subscriber could not join within ${JOIN_MS_MAX / 1000} s`);
      const timer = setTimeout(() => reject(tooLate), JOIN_MS_MAX);
      let joined = false;
      const dialect = createDialect(params.dialect, {
        ready: () => {
          if (joined) return;
          joined = true;
          this.#open++;
          clearTimeout(timer);
          resolve();
        },
        messages: (count) => {
          this.#messages += count;
          this.#delivered.add(count);
        },
        message: isWatcher ? this.#watch() : null,
        write: (frame) => socket.sendFrames(frame),
        fail: (why) => recorder.refused(why),
      });
      const socket = new RawSocket(params, {
        onOpen: () => dialect.onOpen(),
        onMessage: (payload) => {
          this.#frames++;
          if (isWatcher) this.#nowMicros = nowMicros();
          dialect.onFrame(payload);
        },
        onClose: (code) => {
          clearTimeout(timer);
          if (!joined) reject(new Error(`a subscriber could not join: closed with ${code}`));
          else if (!this.#leaving) {
            this.#open--;
            recorder.refused(`lost: closed with ${code}`);
          }
        },
      });
      this.#sockets.push(socket);
    });
  }

  /** Numbers increase by one; the first one depends on when the subscriber joined. */
  #watch(): (number: number, dueMicros: number) => void {
    let last = -1;
    return (number, dueMicros) => {
      if (last >= 0 && number !== last + 1) {
        if (number > last) this.#missing += number - last - 1;
        else this.#outOfOrder++;
      }
      if (number > last) last = number;
      this.#latencyMicros.recordValue(Math.max(1, this.#nowMicros - dueMicros));
    };
  }
}
