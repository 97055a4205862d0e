/** The Redis clock in this process: its error bound holds when clocks drift and step. */
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createPrng, type Prng } from '../../bench/generator/prng.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { type ClockServer, RedisClock } from '../../src/redis/clock.ts';
import { connectStore } from '../../src/redis/index.ts';
import { FIRST_SEED } from '../support/seed.ts';
import { until } from '../support/until.ts';

const WATCH_MS = 100;
const ROUND_TRIP_MAX_MS = 30;

/** Two hosts whose clocks drift and step; this one is suspended now and then. */
class Hosts {
  readonly prng: Prng;
  readonly clock: RedisClock;
  readonly steps: number[] = [];
  readonly #drift: { local: number; redis: number };
  #trueMs = 0;
  #sleptMs = 0;
  #wallMs = 1_790_000_000_000;
  #redisMs = 1_790_000_000_000;
  isCut = false;
  /** The Redis clock was stepped, and no sample was taken since. */
  isStepUnknown = false;
  roundTripMaxMs = ROUND_TRIP_MAX_MS;
  samples = 0;

  constructor(seed: number) {
    this.prng = createPrng(seed);
    this.#redisMs += this.between(-1e9, 1e9);
    this.#drift = { local: this.between(-1e-4, 1e-4), redis: this.between(-1e-4, 1e-4) };
    const local = {
      monotonicMs: () => this.#monotonicMs(),
      wallMs: () => this.#wallMs + this.#monotonicMs() + this.#sleptMs,
    };
    this.clock = new RedisClock(() => [this.#server()], { local, onStep: (stepMs) => this.steps.push(stepMs) });
  }

  between(from: number, to: number): number {
    return from + this.prng.next() * (to - from);
  }

  redisMs(): number {
    return this.#redisMs + this.#trueMs * (1 + this.#drift.redis);
  }

  wait(ms: number): void {
    this.#trueMs += ms;
  }

  suspend(ms: number): void {
    this.#trueMs += ms;
    this.#sleptMs += ms * (1 + this.#drift.local);
  }

  stepRedis(ms: number): void {
    this.#redisMs += ms;
    this.isStepUnknown = true;
  }

  setWallClock(ms: number): void {
    this.#wallMs += ms;
  }

  /** Time passes, and the clock looks at it as its timer does. */
  async pass(ms: number, onWatch: () => void): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += WATCH_MS) {
      this.wait(this.between(1, WATCH_MS));
      this.clock.watch();
      await new Promise(setImmediate);
      onWatch();
    }
  }

  /** Returns what is wrong with the reading of now, or null. */
  dishonesty(): string | null {
    const offByMs = Math.abs(this.clock.now() - this.redisMs());
    const errorMs = this.clock.errorMs();
    return offByMs <= errorMs ? null : `off by ${offByMs} ms, said ${errorMs} ms`;
  }

  #monotonicMs(): number {
    return this.#trueMs * (1 + this.#drift.local) - this.#sleptMs;
  }

  #server(): ClockServer {
    return {
      id: '',
      time: async () => {
        this.samples++;
        if (this.isCut) throw new Error('Connection is closed.');
        const roundTripMs = this.between(0.05, this.roundTripMaxMs);
        const thereMs = this.between(0, roundTripMs);
        this.wait(thereMs);
        const micros = Math.floor(this.redisMs() * 1000);
        this.isStepUnknown = false;
        this.wait(roundTripMs - thereMs);
        return [Math.floor(micros / 1_000_000), micros % 1_000_000];
      },
    };
  }
}

t.test('I5: now() is never further from the Redis clock than nowErrorMs(), and does not step back', async (t) => {
  const failures: string[] = [];
  for (let run = 0; run < 15; run++) {
    const seed = FIRST_SEED + run;
    const hosts = new Hosts(seed);
    await hosts.clock.sample(5);
    let action = 'start';
    let lastMs = 0;
    const check = (): void => {
      if (hosts.isStepUnknown) return;
      const problem = hosts.dishonesty();
      const nowMs = hosts.clock.now();
      if (problem !== null) failures.push(`seed ${seed}, ${action}: ${problem}`);
      if (nowMs < lastMs && action !== 'step') failures.push(`seed ${seed}, ${action}: back by ${lastMs - nowMs} ms`);
      lastMs = nowMs;
    };
    for (let i = 0; i < 25; i++) {
      action = hosts.prng.pick(['wait', 'wait', 'wait', 'suspend', 'step', 'wall', 'cut']);
      hosts.isCut = action === 'cut';
      if (action === 'suspend') hosts.suspend(10 ** hosts.between(2, 7));
      if (action === 'step') hosts.stepRedis(hosts.prng.pick([-1, 1]) * 10 ** hosts.between(3, 7));
      if (action === 'wall') hosts.setWallClock(hosts.between(-1e6, 1e6));
      if (action === 'step' || action === 'wall' || action === 'suspend') hosts.clock.watch();
      await hosts.pass(hosts.between(100, 20_000), check);
      hosts.isCut = false;
      await hosts.pass(6_000, check);
      if (hosts.isStepUnknown) failures.push(`seed ${seed}: a step is unknown after six seconds`);
      check();
    }
  }
  t.same(failures.slice(0, 5), []);
});

t.test('I5: a step that is shorter than the round trip is off by one round trip at most', async (t) => {
  const failures: string[] = [];
  for (let run = 0; run < 15; run++) {
    const hosts = new Hosts(FIRST_SEED + run);
    await hosts.clock.sample(5);
    for (let i = 0; i < 25; i++) {
      hosts.stepRedis(hosts.between(-20, 20));
      await hosts.pass(6_000, () => {});
      const offByMs = Math.abs(hosts.clock.now() - hosts.redisMs()) - hosts.clock.errorMs();
      if (offByMs > ROUND_TRIP_MAX_MS) failures.push(`seed ${FIRST_SEED + run}: off by ${offByMs} ms`);
    }
  }
  t.same(failures, []);
});

t.test('the error grows with age, a sample every five seconds keeps it small', async (t) => {
  const hosts = new Hosts(FIRST_SEED);
  hosts.roundTripMaxMs = 0.5;
  await hosts.clock.sample(5);
  const before = hosts.samples;
  await hosts.pass(60_000, () => {});
  t.ok(hosts.samples - before <= 24, `${hosts.samples - before} samples in a minute`);
  t.ok(hosts.clock.errorMs() < 2.5, `${hosts.clock.errorMs()} ms`);
  hosts.isCut = true;
  await hosts.pass(600_000, () => {});
  t.ok(hosts.clock.errorMs() > 50, `${hosts.clock.errorMs()} ms after ten minutes without Redis`);
});

t.test('a suspend is noticed at the next watch and sampled at once; a set wall clock disturbs nothing', async (t) => {
  const hosts = new Hosts(FIRST_SEED);
  await hosts.clock.sample(5);
  hosts.suspend(1_800_000);
  hosts.isCut = true;
  hosts.clock.watch();
  t.ok(hosts.clock.errorMs() > 1_799_000, 'before the sample: the error covers the whole suspend');
  hosts.isCut = false;
  await hosts.clock.sample();
  t.ok(hosts.clock.errorMs() < ROUND_TRIP_MAX_MS, `${hosts.clock.errorMs()} ms`);
  t.equal(hosts.dishonesty(), null);

  for (const stepMs of [3_600_000, -3_600_000]) {
    const aheadMs = hosts.clock.now() - hosts.redisMs();
    hosts.setWallClock(stepMs);
    const { samples } = hosts;
    hosts.clock.watch();
    await new Promise(setImmediate);
    t.ok(hosts.samples > samples, 'sampled at once');
    t.ok(Math.abs(hosts.clock.now() - hosts.redisMs() - aheadMs) < ROUND_TRIP_MAX_MS, 'now() goes on');
    t.ok(hosts.clock.errorMs() < ROUND_TRIP_MAX_MS, `${hosts.clock.errorMs()} ms`);
  }
  t.same(hosts.steps, [], 'no sample contradicted another one');
});

t.test('masters of a cluster with different clocks: now() is that of the median, the error covers all', async (t) => {
  const aheadMs = [0, 4_000, 10];
  const serverOf = (ahead: number, i: number): ClockServer => ({
    id: String(i),
    time: async () => {
      const ms = performance.now() + ahead;
      return [Math.floor(ms / 1000), Math.round((ms % 1000) * 1000)];
    },
  });
  const clock = new RedisClock(() => aheadMs.map(serverOf));
  await clock.sample(5);
  const offsetMs = clock.now() - performance.now();
  t.ok(Math.abs(offsetMs - 10) < 5, `offset ${offsetMs} ms`);
  t.ok(clock.errorMs() >= 3_990 && clock.errorMs() < 4_000, `error ${clock.errorMs()} ms`);
  aheadMs.splice(1, 1);
  await clock.sample();
  t.ok(clock.errorMs() < 20, 'a master that left no longer counts');
});

/** A proxy to a Redis whose clock is `aheadMs` ahead. */
async function shiftedRedis(socketPath: string) {
  const shift = { aheadMs: 0, port: 0, close: () => {} };
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(socketPath);
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}));
    near.pipe(far);
    far.on('data', (bytes: Buffer) => {
      const shifted = bytes
        .toString('latin1')
        .replace(/\*2\r\n\$10\r\n(\d{10})\r\n\$\d\r\n(\d+)\r\n/g, (_, seconds, micros) => {
          const ms = Number(seconds) * 1000 + Number(micros) / 1000 + shift.aheadMs;
          const parts = [Math.floor(ms / 1000), Math.floor((ms % 1000) * 1000)].map(String);
          return `*2\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join('')}`;
        });
      near.write(Buffer.from(shifted, 'latin1'));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  shift.port = (server.address() as { port: number }).port;
  shift.close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return shift;
}

t.test('the clock of a real Redis is stepped: now() follows within five seconds', async (t) => {
  const redis = await startRedis();
  const proxy = await shiftedRedis(redis.socketPath);
  const store = await connectStore({ redis: redisTarget(`redis://127.0.0.1:${proxy.port}`) });
  t.teardown(async () => {
    await store.close();
    proxy.close();
    await redis.stop();
  });
  await until(() => store.trouble() === null, 'the store is ready');
  const offByMs = (): number => Math.abs(store.now() - Date.now() - proxy.aheadMs);
  // Date.now() is truncated to milliseconds.
  const isHonest = (): boolean => offByMs() <= store.nowErrorMs() + 1;
  t.ok(isHonest(), `off by ${offByMs()}, said ${store.nowErrorMs()}`);
  for (const aheadMs of [600_000, -60_000]) {
    proxy.aheadMs = aheadMs;
    await sleep(5_200);
    t.ok(isHonest(), `off by ${offByMs()}, said ${store.nowErrorMs()}`);
    t.ok(store.nowErrorMs() < 100, `said ${store.nowErrorMs()} ms`);
  }
});
