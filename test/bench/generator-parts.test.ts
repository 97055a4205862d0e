/** Parts of the generator: schedules, clocks, samples, frames, flags. */
import { createServer } from 'node:net';
import { deflateRawSync } from 'node:zlib';
import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import t from 'tap';
import { healthOf, latencyOf, samplesWithin, seriesOf } from '../../bench/generator/assemble.ts';
import { ClockSync } from '../../bench/generator/clock.ts';
import type { Sample } from '../../bench/generator/contract.ts';
import { FrameCache, kindOf } from '../../bench/generator/frame-cache.ts';
import { createPrng } from '../../bench/generator/prng.ts';
import { SecondRecorder } from '../../bench/generator/recorder.ts';
import { Pacer, poisson, steady } from '../../bench/generator/schedule.ts';
import { dueOf, stamped } from '../../bench/generator/stamp.ts';
import { RawSocket } from '../../bench/generator/websocket.ts';
import { COMMAND } from '../../bench/launch/program.ts';
import { COMMON_FLAGS } from '../../bench/scenarios/common-flags.ts';
import { count, duration, FlagError, parametersOf, readFlags, shownCommand } from '../../bench/scenarios/flags.ts';
import { CODECS } from '../../src/protocol/codec.ts';

t.test('schedules', async (t) => {
  t.same([...steady(4, 1_000)], [0, 250, 500, 750]);
  const random = [...poisson(1_000, 10_000, createPrng(3))];
  t.ok(Math.abs(random.length - 10_000) < 400, `${random.length} of about 10,000`);
  t.same(random, [...poisson(1_000, 10_000, createPrng(3))], 'the seed decides');
  t.ok(!random.some((atMs, i) => atMs < (random[i - 1] ?? 0)));
});

t.test('a pacer emits all work in order with its due time, also after a stall', async (t) => {
  const nowMs = (): number => performance.now();
  const startMs = nowMs() + 5;
  const dues: number[] = [];
  const work = (dueMs: number, index: number): void => {
    if (index === 10) while (nowMs() < startMs + 60);
    dues.push(dueMs);
  };
  await new Promise<void>((resolve) => new Pacer(steady(1_000, 100), startMs, nowMs, work, resolve));
  t.equal(dues.length, 100);
  t.ok(dues.every((dueMs, i) => Math.abs(dueMs - startMs - i) < 0.001));
});

t.test('a clock sync uses the shortest round trip, which bounds the error', async (t) => {
  const clock = new ClockSync();
  t.notOk(clock.isSet);
  clock.add(0, 1_010, 1_010, 20);
  t.match(clock, { offsetMs: 1_000, errorMs: 10, isSet: true });
  clock.add(100, 1_101.5, 1_101.5, 102);
  t.match(clock, { offsetMs: 1_000.5, errorMs: 1 });
  clock.add(200, 1_290, 1_290, 260);
  t.equal(clock.offsetMs, 1_000.5, 'a slow exchange changes nothing');
  clock.add(40_000, 41_003, 41_003, 40_004);
  t.equal(clock.offsetMs, 1_001, 'old exchanges are dropped, because clocks drift');
  clock.add(40_100, 41_101, 41_102, 40_103);
  t.match(clock, { offsetMs: 1_000, errorMs: 1 }, 'the time between receipt and reply is no part of the trip');
  t.equal(clock.localMs(600_000), 599_000);
});

const sampleOf = (worker: number, fromMs: number, values: readonly number[], more: Partial<Sample> = {}): Sample => {
  const recorder = new SecondRecorder(() => 0);
  for (const value of values) recorder.latency('x').record(value);
  recorder.counter('n').add(values.length);
  const loopDelay = new SecondRecorder(() => 0);
  loopDelay.latency('d').record(0.1);
  const usage = { cpuSeconds: 0.2, memoryBytes: 1, loopDelay: loopDelay.take().latencies.d as string };
  return { worker, fromMs, toMs: fromMs + 1_000, ...usage, ...recorder.take(), ...more };
};

t.test('histograms of workers are added, percentiles are never averaged', async (t) => {
  const quick = sampleOf(0, 0, Array(99).fill(1));
  const slow = sampleOf(1, 0, [1_000]);
  const both = latencyOf([quick, slow], 'x');
  t.equal(both?.count, 100);
  t.ok(both && both.p50Ms < 1.01 && both.p99Ms < 1.01, 'one in a hundred is not in the 99th percentile');
  t.ok(both && Math.abs(both.maxMs - 1_000) < 1 && both.p999Ms === both.maxMs);
  t.equal(decodeFromCompressedBase64(both?.histogram ?? '').totalCount, 100, 'the whole distribution is kept');
  t.equal(latencyOf([quick], 'nothing'), undefined);
  const later = sampleOf(0, 1_000, [5]);
  t.same(samplesWithin([quick, later], { fromMs: 1_000, toMs: 2_000 }), [later]);
  const counted = seriesOf([quick, slow, later], 0).find(({ name }) => name === 'n')?.points;
  t.same(counted?.map(([, value]) => value).join(), '100,1', 'both workers make one point a second');
});

t.test('a generator above its bounds is reported as a bottleneck', async (t) => {
  const workers = [{ index: 0, host: 'a', pid: 1, local: true, clockErrorMs: 0 }];
  t.same(healthOf(workers, [sampleOf(0, 0, [1])]).bottlenecks, []);
  t.match(healthOf(workers, [sampleOf(0, 0, [1], { cpuSeconds: 0.97 })]).bottlenecks, [/97 % of a core/]);
  const punctual: number[] = Array(990).fill(1);
  const sends = (delaysMs: readonly number[]): Partial<Sample> => {
    const recorder = new SecondRecorder(() => 0);
    for (const delayMs of delaysMs) recorder.sent(-delayMs);
    const { sends: all, lateSends, sendDelay } = recorder.take();
    return { sends: all, lateSends, sendDelay };
  };
  const late = sampleOf(0, 0, [1], sends([...punctual, ...Array(20).fill(12)]));
  t.match(healthOf(workers, [late]).bottlenecks, [/12.0 ms after they were due .*bound 5.0 ms; 20 of 1010/]);
  const slow = latencyOf([sampleOf(0, 0, [40])], 'x');
  t.same(healthOf(workers, [late], slow).bottlenecks, [], 'a third of 40 ms is more than 12 ms');
  const two = sampleOf(0, 0, [1], sends([...punctual, 12, 12]));
  t.same(healthOf(workers, [two]).bottlenecks, [], 'two in a thousand are not the 99th percentile');
});

t.test('a stamp contains its due time; other texts contain none', async (t) => {
  t.equal(dueOf(stamped(123_456_789.125, 'hello')), 123_456_789.125);
  for (const text of ['hello', '~', '~ maya ~ hi']) t.ok(Number.isNaN(dueOf(text)), text);
});

const frameOf = (at: number, ids: readonly number[]) => ({
  t: 'frame' as const,
  at,
  chat: ids.map((id) => [id, at, [[0, 0, 'ann', stamped(at, 'some words')]]]),
});

t.test('the same bytes are decoded once, and other bytes are not confused with them', async (t) => {
  const cache = new FrameCache();
  const plain = Buffer.from(CODECS.msgpack.encode(frameOf(1_795_399_320_496, [41, 42]) as never) as Uint8Array);
  const facts = cache.facts(plain, true);
  t.match(facts, { chat: 2, firstChat: 41, lastChat: 42 });
  t.equal(cache.facts(Buffer.from(plain), true), facts);
  t.equal(cache.decoded, 1);
  // One bit, in the middle of a word: same length, same first and last bytes.
  const other = Buffer.from(plain);
  other[other.lastIndexOf('words')] = 'l'.charCodeAt(0);
  t.not(cache.facts(other, true), facts);
  t.equal(cache.decoded, 2);
  const packed = Buffer.concat([Buffer.from([1]), deflateRawSync(plain)]);
  t.equal(kindOf(packed, true), null);
  t.match(cache.facts(packed, true), { chat: 2, lastChat: 42 });
  const json = Buffer.from(JSON.stringify(frameOf(7, [1])));
  t.equal(kindOf(json, false), 'frame');
  t.match(cache.facts(json, false), { chat: 1, firstChat: 1 });
});

t.test('frames are read whole, in any segments', async (t) => {
  const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 5, 200_000, 3];
  const bytes = Buffer.concat(
    sizes.map((size, i) => {
      const large = [127, 0, 0, 0, 0, 0, size >> 16, (size >> 8) & 255, size & 255];
      const length = size < 126 ? [size] : size < 65_536 ? [126, size >> 8, size & 255] : large;
      return Buffer.concat([Buffer.from([0x82, ...length]), Buffer.alloc(size, i)]);
    }),
  );
  const whole = sizes.map((size) => [size, true]);
  for (const cut of [1, 7, 1_000, 70_000, bytes.length]) {
    const server = createServer((socket) => {
      socket.setNoDelay(true).on('error', () => {});
      socket.once('data', async () => {
        const all = Buffer.concat([Buffer.from('HTTP/1.1 101 Switching Protocols\r\n\r\n'), bytes]);
        // The first pieces one byte at a time where that is asked for: all heads are cut somewhere.
        const end = cut === 1 ? 700 : 0;
        for (let at = 0; at < all.length; ) {
          const size = at < end ? 1 : Math.max(cut, 1_000);
          socket.write(all.subarray(at, at + size));
          at += size;
          if (cut < 1_000 || at % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const got: Array<readonly [size: number, right: boolean]> = [];
    await new Promise<void>((resolve) => {
      const onMessage = (payload: Buffer): void => {
        got.push([payload.length, payload.every((byte) => byte === got.length)]);
        if (got.length === sizes.length) resolve(socket.destroy());
      };
      const socket = new RawSocket({ host: '127.0.0.1', port, path: '/', protocols: ['x'] }, { onMessage });
    });
    t.same(got, whole, `pieces of ${cut}`);
    server.close();
  }
});

t.test('flags: values with units, all mistakes at once, secrets never shown', async (t) => {
  const table = { viewers: count(10, 'people', { max: 100 }), holdMs: duration(null, 'a time'), ...COMMON_FLAGS };
  const values = readFlags(table, ['--viewers', '7', '--hold-ms=1.5s', '--p99', '150ms', '--json']);
  t.match(values, { viewers: 7, holdMs: 1_500, p99: 150, json: true, seconds: 10 });
  t.match(readFlags(table, [], { viewers: 3 }), { viewers: 3 }, 'a scenario may have other defaults');
  const wrong = (...argv: string[]): string => {
    try {
      readFlags(table, argv);
      return '';
    } catch (error) {
      return error instanceof FlagError ? error.message : String(error);
    }
  };
  const several = wrong('--viewers', '101', '--p99', 'soon', '--nonsense');
  t.match(several, /viewers must be from 1 to 100[\s\S]*p99 must be a time[\s\S]*nonsense is not a flag/);
  t.match(wrong('--viewers'), /needs a value/);
  t.match(wrong('chat'), /"chat" is not expected/);
  t.match(wrong('--viewer', '7'), /^--viewer is not a flag[^\n]*--viewers[^\n]*$/, 'the value is not a second mistake');
  const secret = readFlags(table, ['--auth-secret', 'hush', '--url', 'ws://a:1']);
  t.notMatch(JSON.stringify(parametersOf(table, secret)), /hush/);
  const shown = shownCommand(['chat', '--auth-secret', 'hush', '--key=hush', '--out', 'a b'], table);
  t.equal(shown, `${COMMAND} chat --auth-secret *** --key=*** --out 'a b'`);
});
