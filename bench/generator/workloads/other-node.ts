/** The workload `other-node`: chat of another node, so that a room needs fewer writers. */
import { systemClock } from '../../../src/domain/clock.ts';
import { redisTarget } from '../../../src/domain/redis-target.ts';
import { ChatIntake } from '../../../src/fanout/chat-intake.ts';
import { connectStore } from '../../../src/redis/index.ts';
import { type ChatSchedule, chatPlan } from '../chat-plan.ts';
import type { Workload } from '../contract.ts';
import { Pacer } from '../schedule.ts';

export type OtherNodeParams = Readonly<{ redisUrl: string; show: string; chat: ChatSchedule }>;

const AUTHORS = 1_000;

export const otherNode: Workload<OtherNodeParams> = {
  name: 'other-node',
  async prepare({ params, seed, shard, recorder, nowMs }) {
    const store = await connectStore({ redis: redisTarget(params.redisUrl) });
    const intake = new ChatIntake({
      showId: params.show,
      node: `bench-${shard.index}`,
      log: store,
      clock: systemClock,
      isBehind: () => false,
      shownPerSecond: () => 0,
      onCallbackError: (error) => {
        throw error;
      },
    });
    let pacer: Pacer | null = null;
    const start = (atMs: number): void => {
      const { schedule, textOf } = chatPlan(params.chat, seed, 0);
      const sent = recorder.counter('chat sent');
      const accepted = recorder.counter('chat accepted');
      const reply = recorder.latency('chat reply');
      const write = (dueMs: number, i: number): void => {
        if (i % shard.of !== shard.index) return;
        recorder.sent(dueMs);
        sent.add();
        const user = `n${i % AUTHORS}`;
        intake.accept({ user, name: user, text: textOf(i, dueMs), mark: 0, at: store.now() }, (result) => {
          if (!result.ok) return recorder.refused(result.error.code);
          accepted.add();
          reply.record(nowMs() - dueMs);
        });
      };
      pacer = new Pacer(schedule, atMs, nowMs, write);
    };
    return {
      start,
      async stop() {
        pacer?.stop();
        await intake.whenIdle();
        await store.close();
      },
    };
  },
};
