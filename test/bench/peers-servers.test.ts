/** Every installed server of a comparison delivers every message to all subscribers in order. */
// slow: runs several servers in real time
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { monotonicMs } from '../../bench/generator/clock.ts';
import { createPrng } from '../../bench/generator/prng.ts';
import { SecondRecorder } from '../../bench/generator/recorder.ts';
import { cpuSecondsOf, memoryBytesOf } from '../../bench/launch/cpu.ts';
import { PEERS } from '../../bench/peers/index.ts';
import type { RunningPeer } from '../../bench/peers/peer.ts';
import { type Received, receivers } from '../../bench/peers/receivers.ts';

const SUBSCRIBERS = 12;

async function listen(t: Test, running: RunningPeer) {
  let last: Received | null = null;
  const recorder = new SecondRecorder(monotonicMs);
  const run = await receivers.prepare({
    params: { label: 'peer', ...running.subscription, subscribers: SUBSCRIBERS, watchers: SUBSCRIBERS },
    shard: { index: 0, of: 1 },
    seed: 1,
    prng: createPrng(1),
    recorder,
    nowMs: monotonicMs,
    report: (body) => (last = body),
    fail: (reason) => t.fail(reason),
  });
  t.teardown(() => run.stop());
  return {
    run,
    read(): Received {
      run.command?.({ ask: 1, whole: true, fresh: false });
      if (last === null) throw new Error('no report');
      return last;
    },
  };
}

for (const peer of PEERS) {
  t.test(`${peer.name} delivers every message to all subscribers in order`, async (t) => {
    const missing = await peer.missing();
    if (missing !== null) {
      t.match(missing, /not (installed|built)/, 'names what is missing');
      return;
    }
    const running = await peer.start({ messagesPerFrame: 7, bytesPerMessage: 76 });
    t.teardown(() => running.stop());
    const group = await listen(t, running);
    await sleep(200);
    group.run.command?.({ ask: 0, whole: false, fresh: true });

    const first = await running.offer({ perSecond: 200, forMs: 150 });
    const second = await running.offer({ perSecond: 100, forMs: 150 });
    t.same([first.sent, second.sent], [30, 15]);
    const wanted = 45 * SUBSCRIBERS;
    for (let i = 0; i < 200 && group.read().messages < wanted; i++) await sleep(25);

    const got = group.read();
    t.match(got, { messages: wanted, missing: 0, outOfOrder: 0, open: SUBSCRIBERS });
    t.ok(got.frames > 0 && got.bytes >= got.messages * 60, 'frames and bytes are counted');
    t.ok(got.latency !== null, 'latency is measured');
    for (const { name, pid } of running.processes) {
      t.ok(cpuSecondsOf(pid) >= 0, `CPU of ${name}`);
      t.ok(memoryBytesOf(pid) > 1_000_000, `memory of ${name}`);
    }
  });
}
