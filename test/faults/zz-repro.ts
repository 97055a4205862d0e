import { setTimeout as sleep } from 'node:timers/promises';
import { createPrng } from '/work/main/bench/audience/prng.ts';
import { systemClock } from '/work/main/src/fanout/clock.ts';
import { ShowFollower } from '/work/main/src/fanout/follower.ts';
import { connectStore } from '/work/main/src/redis/index.ts';
import { type Cut, LineProxy } from '/work/main/test/faults/line-proxy.ts';
import { startRedis } from '/work/main/test/support/redis.ts';

const CUTS: readonly Cut[] = ['now', 'before the answer', 'before the answer', 'after a silence'];
const redis = await startRedis();
const direct = await connectStore({ url: redis.url });
await direct.createShow({ id: 's', title: 'x' } as never, 'h');
const seed = Number(process.argv[2] ?? 1);
for (let s = seed; s < seed + 6; s++) {
  const prng = createPrng(s);
  const proxy = await LineProxy.to({ path: redis.socketPath });
  const store = await connectStore({ url: `redis://127.0.0.1:${proxy.port}` });
  const trace: string[] = [];
  const t0 = Date.now();
  const log = {
    subscribe: async (id: string, l: any) => {
      const n = trace.push(`${Date.now() - t0} subscribe...`);
      const r = await store.subscribe(id, {
        onMessage: l.onMessage,
        onResync() {
          trace.push(`${Date.now() - t0} onResync`);
          l.onResync();
        },
      });
      trace.push(`${Date.now() - t0} subscribe#${n} ${r.ok}`);
      return r;
    },
    load: async (id: string) => {
      const n = trace.push(`${Date.now() - t0} load...`);
      const r = await store.load(id);
      trace.push(`${Date.now() - t0} load#${n} ${r.ok}`);
      return r;
    },
    eventsAfter: async (id: string, e: string, a: number) => {
      const n = trace.push(`${Date.now() - t0} events...`);
      const r = await store.eventsAfter(id, e, a);
      trace.push(`${Date.now() - t0} events#${n} ${r.ok}`);
      return r;
    },
  };
  // one wrapped listener object only
  const wrapped = new Map<any, any>();
  const log2 = {
    ...log,
    subscribe: async (id: string, l: any) => {
      let w = wrapped.get(l);
      if (!w) {
        w = {
          onMessage: (m: any) => l.onMessage(m),
          onResync() {
            trace.push(`${Date.now() - t0} onResync`);
            l.onResync();
          },
        };
        wrapped.set(l, w);
      }
      const n = trace.push(`${Date.now() - t0} subscribe...`);
      const r = await store.subscribe(id, w);
      trace.push(`${Date.now() - t0} subscribe#${n} ${r.ok}`);
      return r;
    },
  };
  const follower = new ShowFollower({
    showId: 's',
    log: log2 as never,
    clock: systemClock as never,
    handlers: {
      onCommit() {},
      onChat() {},
      onCounts() {},
      onCaughtUp() {
        trace.push(`${Date.now() - t0} caughtup`);
      },
      onGone() {},
    },
  });
  await follower.open();
  const end = Date.now() + 3500;
  const announcing = (async () => {
    while (Date.now() < end) {
      await direct.announce('s', 'hello', 'h');
      await sleep(40);
    }
  })();
  while (Date.now() < end) {
    await sleep(prng.int(50, 700));
    const how = prng.pick(CUTS);
    trace.push(`${Date.now() - t0} CUT ${how}`);
    proxy.cut(how);
  }
  await announcing;
  const truth = await direct.load('s');
  const want = truth.ok ? truth.value.snapshot.offset : -1;
  let ok = false;
  for (let i = 0; i < 120 && !ok; i++) {
    await sleep(50);
    ok = follower.view.offset === want && follower.synced;
  }
  console.log(s, ok ? 'ok' : 'STUCK', follower.view.offset, want, follower.synced);
  if (!ok) {
    console.log(trace.slice(-40).join('\n'));
    await sleep(10000);
    console.log('later', follower.view.offset, follower.synced);
    console.log(trace.slice(-12).join('\n'));
  }
  await follower.stop();
  await store.close();
  await proxy.close();
}
await direct.close();
await redis.stop();
