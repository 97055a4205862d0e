/**
 * Those who listen in a comparison: one room's subscribers on lean lines, in the fleet's processes.
 * All of them count messages; some, spread evenly, also look at each message's number (nothing
 * missing, nothing out of order) and at how late it is.
 */
import { encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import type { Workload, WorkloadContext, WorkloadRun } from '../generator/contract.ts';
import { newHistogram } from '../generator/recorder.ts';
import { createDialect, type DialectSpec } from './dialects.ts';
import { Line } from './line.ts';
import { nowMicros } from './message.ts';

export interface ReceiversParams {
  /** Of the plot line that counts what they receive. */
  readonly label: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly protocols: readonly string[];
  readonly dialect: DialectSpec;
  /** Over all processes. */
  readonly subscribers: number;
  /** Of them, how many look at every message. */
  readonly watchers: number;
}

/** Answered with a report of the same `ask`. */
export interface ReceiversCommand {
  readonly ask: number;
  /** With the latency, which takes a moment to write down. */
  readonly whole: boolean;
  /** Counting begins anew after it. */
  readonly fresh: boolean;
}

/** What one process received since counting began. */
export interface Received {
  readonly ask: number;
  readonly messages: number;
  readonly frames: number;
  readonly bytes: number;
  /** Of those who look: messages they should have had before a later one. */
  readonly missing: number;
  readonly outOfOrder: number;
  /**
   * HdrHistogram V2, compressed, base64, microseconds from the moment a message was due; null when
   * nobody looked at one, or nobody asked.
   */
  readonly latency: string | null;
  readonly open: number;
  readonly cpuSeconds: number;
}

const CONNECTING_AT_ONCE = 100;
const JOIN_MS_MAX = 60_000;

export const receivers: Workload<ReceiversParams, ReceiversCommand, Received> = {
  name: 'peer-receivers',
  async prepare(context): Promise<WorkloadRun<ReceiversCommand>> {
    const audience = new Audience(context);
    await audience.join();
    return {
      start() {},
      command: (command) => context.report(audience.read(command)),
      async stop() {
        audience.leave();
      },
    };
  },
};

class Audience {
  readonly #context: WorkloadContext<ReceiversParams, Received>;
  readonly #delivered;
  readonly #latencyMicros: Histogram = newHistogram();
  readonly #lines: Line[] = [];
  #messages = 0;
  #frames = 0;
  #missing = 0;
  #outOfOrder = 0;
  #open = 0;
  #bytesBefore = 0;
  #leaving = false;
  #cpu = process.cpuUsage();
  /** Of the read that is being dealt with: looking at the clock once a frame is enough. */
  #nowMicros = 0;

  constructor(context: WorkloadContext<ReceiversParams, Received>) {
    this.#context = context;
    this.#delivered = context.recorder.counter(`${context.params.label} delivered`);
  }

  async join(): Promise<void> {
    const { params, shard } = this.#context;
    const mine = Array.from({ length: params.subscribers }, (_, i) => i).filter((i) => i % shard.of === shard.index);
    const every = Math.max(1, Math.floor(params.subscribers / Math.max(1, params.watchers)));
    for (let from = 0; from < mine.length; from += CONNECTING_AT_ONCE)
      await Promise.all(
        mine
          .slice(from, from + CONNECTING_AT_ONCE)
          .map((i) => this.#joinOne(i % every === 0 && i / every < params.watchers)),
      );
  }

  read({ ask, whole, fresh }: ReceiversCommand): Received {
    const bytesIn = this.#lines.reduce((sum, line) => sum + line.bytesIn, 0);
    const cpu = process.cpuUsage(this.#cpu);
    const received: Received = {
      ask,
      messages: this.#messages,
      frames: this.#frames,
      bytes: bytesIn - this.#bytesBefore,
      missing: this.#missing,
      outOfOrder: this.#outOfOrder,
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

  leave(): void {
    this.#leaving = true;
    for (const line of this.#lines) line.destroy();
  }

  #joinOne(looks: boolean): Promise<void> {
    const { params } = this.#context;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`a subscriber waited ${JOIN_MS_MAX / 1000} s in vain to be let in`)),
        JOIN_MS_MAX,
      );
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
        message: looks ? this.#look() : null,
        write: (bytes) => line.write(bytes),
        fail: (why) => this.#context.recorder.refused(why),
      });
      const line = new Line(params, {
        onOpen: () => dialect.onOpen(),
        onFrame: (opcode, bytes, from, to) => {
          this.#frames++;
          if (looks) this.#nowMicros = nowMicros();
          dialect.onFrame(opcode, bytes, from, to);
        },
        onClose: (why) => {
          clearTimeout(timer);
          if (!joined) reject(new Error(`a subscriber was not let in: ${why}`));
          else if (!this.#leaving) {
            this.#open--;
            this.#context.recorder.refused(`lost: ${why}`);
          }
        },
      });
      this.#lines.push(line);
    });
  }

  /** Numbers count up by one; the first one a subscriber sees is wherever the publisher was. */
  #look(): (number: number, dueMicros: number) => void {
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
