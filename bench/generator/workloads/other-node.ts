/** The workload `other-node`: chat of another node, so that a room needs fewer writers. */
import { systemClock } from '../../../src/domain/clock.ts';
import { ChatIntake } from '../../../src/fanout/chat-intake.ts';
import { type ConnectedStore, connectStore } from '../../../src/redis/index.ts';
import { type ChatSchedule, chatPlan } from '../chat-plan.ts';
import type { Workload, WorkloadContext, WorkloadRun } from '../contract.ts';
import { Pacer } from '../schedule.ts';

export type OtherNodeParams = Readonly<{ redisUrl: string; show: string; chat: ChatSchedule }>;

const AUTHORS = 1_000;

export const otherNode: Workload<OtherNodeParams> = {
  name: 'other-node',
  prepare: async (context) => new OtherNode(context, await connectStore({ url: context.params.redisUrl })),
};

class OtherNode implements WorkloadRun {
  readonly #context: WorkloadContext<OtherNodeParams>;
  readonly #store: ConnectedStore;
  readonly #intake: ChatIntake;
  #pacer: Pacer | null = null;

  constructor(context: WorkloadContext<OtherNodeParams>, store: ConnectedStore) {
    this.#context = context;
    this.#store = store;
    this.#intake = new ChatIntake({
      showId: context.params.show,
      node: `bench-${context.shard.index}`,
      log: store,
      clock: systemClock,
      isBehind: () => false,
      shownPerSecond: () => 0,
      onCallbackError: (error) => {
        throw error;
      },
    });
  }

  start(atMs: number): void {
    const { params, seed, shard, recorder, nowMs } = this.#context;
    const { schedule, textOf } = chatPlan(params.chat, seed, 0);
    const sent = recorder.counter('chat sent');
    const accepted = recorder.counter('chat accepted');
    const reply = recorder.latency('chat reply');
    this.#pacer = new Pacer(schedule, atMs, nowMs, (dueMs, i) => {
      if (i % shard.of !== shard.index) return;
      recorder.sent(dueMs);
      sent.add();
      const user = `n${i % AUTHORS}`;
      this.#intake.accept({ user, name: user, text: textOf(i, dueMs), mark: 0, at: this.#store.now() }, (result) => {
        if (!result.ok) return recorder.refused(result.error.code);
        accepted.add();
        reply.record(nowMs() - dueMs);
      });
    });
  }

  async stop(): Promise<void> {
    this.#pacer?.stop();
    await this.#intake.whenIdle();
    await this.#store.close();
  }
}
