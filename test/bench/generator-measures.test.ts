/** The generator measures a server whose delay, loss and stalls are known. */
// heavy: starts many processes and measures time
// slow: measures real time
import t, { type Test } from 'tap';
import { countOf, latencyOf, refusalsOf } from '../../bench/generator/assemble.ts';
import { chatPlan } from '../../bench/generator/chat-plan.ts';
import type { Fleet } from '../../bench/generator/contract.ts';
import { startFleet } from '../../bench/generator/fleet.ts';
import type { Schedule } from '../../bench/generator/schedule.ts';
import { dueOf } from '../../bench/generator/stamp.ts';
import type {
  ChatPlan,
  ViewersCommand,
  ViewersParams,
  ViewersSummary,
} from '../../bench/generator/workloads/viewers.ts';
import { type FakeServer, type FakeServerOptions, startFakeServer } from './fake-server.ts';

interface Offer {
  readonly server?: FakeServerOptions;
  readonly fleet?: Fleet;
  readonly users?: number;
  readonly plan?: Partial<ChatPlan>;
  readonly variant?: ViewersParams['variant'];
  readonly meanwhile?: (server: FakeServer) => Promise<void> | void;
}

/** One fleet for all tests, because starting a process takes longer than most of them. */
const single = await startFleet({ processes: 1, seed: 5 });
t.teardown(() => single.close());

async function offer(
  t: Test,
  { server: options = {}, fleet = single, users = 10, plan = {}, variant = 'json', meanwhile }: Offer,
) {
  const server = await startFakeServer(options);
  t.teardown(() => server.close());
  const access = { kind: 'secret', secret: 'x'.repeat(32) } as const;
  const joins = { show: 's', access, role: 'viewer', variant, users, joinPerSecond: 500 } as const;
  const params: ViewersParams = { gateway: server.gateway, ...joins, measureEvery: 1, replyWaitMs: 300 };
  const from = fleet.samples.length;
  const room = await fleet.load<ViewersParams, ViewersCommand>('viewers', params);
  room.start(fleet.nowMs() + 20);
  await fleet.when('all joins', () => countOf(fleet.samples.slice(from), 'joined') === users, 8_000);
  const whole: ChatPlan = { writers: users, perSecond: 200, arrivals: 'steady', forMs: 500, chars: 40, ...plan };
  const chatMs = fleet.nowMs() + 150;
  room.command({ do: 'chat', atMs: chatMs, plan: whole });
  await meanwhile?.(server);
  await fleet.until(chatMs + whole.forMs + 150);
  const ends = (await room.stop()) as ViewersSummary[];
  return { server, samples: fleet.samples.slice(from), chatMs, ends };
}

t.test('a delay of 40 ms is measured as 40 ms, and all deliveries are counted', async (t) => {
  const { samples } = await offer(t, { server: { delayMs: 40 } });
  const reply = latencyOf(samples, 'chat reply');
  const delivery = latencyOf(samples, 'delivery');
  t.equal(reply?.count, 100);
  t.equal(delivery?.count, 100 * 10);
  t.equal(countOf(samples, 'delivered'), 100 * 10);
  for (const latency of [reply, delivery])
    t.ok(latency && latency.p50Ms >= 39 && latency.p50Ms < 60, `p50 ${latency?.p50Ms} ms`);
  t.same(refusalsOf(samples), []);
});

t.test('each lost message is counted as unanswered', async (t) => {
  const { server, samples, ends } = await offer(t, { server: { loseEvery: 10 }, variant: 'msgpack' });
  t.equal(server.lost, 10);
  t.same(refusalsOf(samples), [{ code: 'unanswered', count: 10 }]);
  t.equal(countOf(samples, 'chat accepted'), 90);
  t.match(ends[0], { unanswered: 10, chatGaps: 0 });
});

t.test('accepted chat that is not delivered is a gap', async (t) => {
  const { ends } = await offer(t, { server: { gapEvery: 30 }, users: 4 });
  t.equal(ends[0]?.chatGaps, 3 * 4, 'messages 30, 60 and 90, for each of four viewers');
});

t.test('during a stall of the server, latency counts from the due time (no coordinated omission)', async (t) => {
  const { samples } = await offer(t, {
    plan: { perSecond: 200, forMs: 2_500 },
    async meanwhile(server) {
      await new Promise((resolve) => setTimeout(resolve, 700));
      server.stall(1_000);
    },
  });
  const reply = latencyOf(samples, 'chat reply');
  t.equal(reply?.count, 500, 'the whole schedule was offered');
  // 200 of 500 were due during the stall, evenly: two of five waited, 500 ms on average.
  t.ok(reply && reply.p50Ms < 300, `p50 ${reply?.p50Ms} ms`);
  t.ok(reply && reply.p90Ms > 550 && reply.p90Ms < 950, `p90 ${reply?.p90Ms} ms`);
  t.ok(reply && reply.p99Ms > 850 && reply.p99Ms < 1_400, `p99 ${reply?.p99Ms} ms`);
});

t.test('a seed always gives the same due times, writers and texts, for any number of processes', async (t) => {
  const pair = await startFleet({ processes: 2, seed: 5 });
  t.teardown(() => pair.close());
  const loads = [];
  for (const fleet of [single, pair]) {
    const { server, chatMs } = await offer(t, { fleet, plan: { arrivals: 'poisson' } });
    const lines = server.received.map(({ user, text }) => {
      return { dueMs: dueOf(text) - chatMs, said: user + text.slice(text.indexOf(' ')) };
    });
    loads.push(lines.sort((a, b) => a.dueMs - b.dueMs));
  }
  const [first = [], second = []] = loads;
  t.ok(first.length > 50);
  const said = loads.map((lines) => lines.map((line) => line.said));
  t.same(said[0], said[1]);
  // The stamp is whole microseconds.
  t.ok(first.every(({ dueMs }, i) => Math.abs(dueMs - (second[i]?.dueMs ?? 0)) < 0.002));
  const talk = { perSecond: 100, arrivals: 'poisson', forMs: 1_000, chars: 40 } as const;
  const times = (seed: number): number[] => [...take(chatPlan(talk, seed, 0).schedule)];
  t.notSame(times(5), times(6), 'another seed, another load');
});

function* take(schedule: Schedule): Generator<number> {
  for (let next = schedule.next(); next.done !== true; next = schedule.next()) yield next.value;
}
