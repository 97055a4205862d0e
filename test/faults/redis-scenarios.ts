/** Redis dies, loses its newest writes, or freezes during a rush. */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { holdsIn } from '../support/until.ts';
import { readBooks } from './books.ts';
import type { EngineUnderTest } from './engine-under-test.ts';
import type { PlainClient } from './plain-client.ts';
import { type Scenario, type Scene, scenario } from './scenario.ts';
import { checkRecovery, readiness, startServiceProbe } from './service-probe.ts';

/** What `everysec` may lose in a power cut. */
const LOSS_MS = 1_000;
const FROZEN_MS = 10_000;
const RECOVERED_MS = 8_000;
const SALE = { units: 14 };

/** Waits until the log reports the end of the recovery. */
async function recovered({ engine }: Scene): Promise<void> {
  const types = async () => [...(await readBooks(engine.redis.admin)).events.values()].map(({ type }) => type);
  await holdsIn(RECOVERED_MS, async () => (await types()).includes('show.recovered'), 100);
}

function redisKilled(mode: 'always' | 'everysec', isEmbedded = false): Scenario {
  const name = isEmbedded ? 'embedded server killed' : 'redis killed';
  return scenario(`${name}, ${mode}`, { appendfsync: mode, isEmbedded }, async (scene) => {
    const { engine, prng, join, note } = scene;
    const probe = await startServiceProbe(scene);
    const users = await join(SALE, { spreadMs: 900 });
    const epochBefore = users.clients[0]?.epoch ?? '';
    let crash = { fromMs: 0, toMs: 0 };
    await users.rush(async () => {
      await users.opening();
      await sleep(prng.int(0, 800));
      // A write that waits for a slow fsync dies with the process: `everysec` allows a second.
      const fromMs = Date.now() - LOSS_MS;
      for (let crashes = isEmbedded ? prng.int(1, 3) : 1; crashes > 0; crashes--) {
        await engine.redis.crashAndRestart({ downMs: prng.int(600, 1_400) });
        crash = { fromMs, toMs: Date.now() };
        await probe.expectBack(users, `restart ${crashes}`, crash.toMs);
      }
    });
    await recovered(scene);
    const afterCheck = async (): Promise<void> => {
      await checkRecovery(scene, users, epochBefore);
      await probe.check(users);
      const refusals = users.buyers.reduce((sum, { refused }) => sum + (refused.get('redis_unavailable') ?? 0), 0);
      note(`${refusals} replies redis_unavailable`);
    };
    return mode === 'everysec' ? { mayBeLost: crash, afterCheck } : { afterCheck };
  });
}

export const redisKilledAlways = redisKilled('always');
export const redisKilledEverysec = redisKilled('everysec');
export const embeddedServerKilled = redisKilled('always', true);

/** A power cut leaves of the append-only file what was synced to disk. */
function appendOnlyFile({ redis }: EngineUnderTest): { path: string; size(): number } {
  const folder = join(dirname(redis.socketPath), 'appendonlydir');
  const path = join(folder, readdirSync(folder).find((file) => file.endsWith('.incr.aof')) ?? '');
  return { path, size: () => statSync(path).size };
}

export const powerCut = scenario('power cut, everysec', { appendfsync: 'everysec' }, async (scene) => {
  const { engine, prng, join, note } = scene;
  const probe = await startServiceProbe(scene);
  const users = await join(SALE, { spreadMs: 900 });
  const epochBefore = users.clients[0]?.epoch ?? '';
  let window = { fromMs: 0, toMs: 0 };
  let cutBytes = 0;
  await users.rush(async () => {
    const file = appendOnlyFile(engine);
    await users.opening(prng.int(100, 700));
    const synced = file.size();
    const fromMs = Date.now() - LOSS_MS / 10; // Replies under way when the size was read.
    await sleep(prng.int(50, LOSS_MS - LOSS_MS / 10 - 100));
    engine.redis.signal('SIGKILL');
    await sleep(100);
    cutBytes = file.size() - synced;
    truncateSync(file.path, synced + prng.int(0, Math.min(cutBytes, 40))); // Often within a command.
    await engine.redis.crashAndRestart({ downMs: 300 });
    window = { fromMs, toMs: Date.now() };
    await probe.expectBack(users, 'power cut', window.toMs);
  });
  await recovered(scene);
  note(`${cutBytes} bytes never reached the disk`);
  const afterCheck = async (): Promise<void> => {
    await checkRecovery(scene, users, epochBefore);
    await probe.check(users);
  };
  return { mayBeLost: window, afterCheck };
});

export const redisFrozen = scenario('redis frozen for 10 s', {}, async (scene) => {
  const { engine, prng, join, expect, note } = scene;
  const probe = await startServiceProbe(scene);
  const users = await join(SALE, { patienceMs: 40_000 });
  await users.rush(async () => {
    await users.opening(prng.int(50, 400));
    engine.redis.signal('SIGSTOP');
    const thawAt = Date.now() + FROZEN_MS;
    await sleep(FROZEN_MS * 0.7);
    const statuses = (await readiness(engine)).map(({ status }) => status);
    const wanted = [...engine.gateways.map(() => 200), ...engine.controlUrls.map(() => 503)];
    expect(String(statuses) === String(wanted), `/readyz returned ${statuses} while Redis was frozen, not ${wanted}`);
    await sleep(Math.max(0, thawAt - Date.now()));
    engine.redis.signal('SIGCONT');
    await probe.expectBack(users, 'freeze', Date.now());
  });
  const isAnnounced = ({ events }: PlainClient) => events.some(({ type }) => type === 'announcement');
  for (const client of users.clients) await client.until(() => isAnnounced(client), 5_000);
  const afterCheck = async (): Promise<void> => {
    await probe.check(users);
    for (const { losses, lastClose } of users.clients)
      expect(losses === 0, `a connection broke because Redis was frozen: ${JSON.stringify(lastClose)}`);
    expect(users.viewers.every(isAnnounced), 'a viewer missed the announcement after the freeze');
    note(`slowest reply ${Math.round(Math.max(0, ...users.clients.flatMap(({ replyMs }) => replyMs)))} ms`);
  };
  return { unbroken: users.viewers, afterCheck };
});

const STORM_MS = 3_000;
/** Shorter than the timeout of a command, and longer. */
const PAUSES = { paused: 3_000, stopped: 5_000 };

export const redisPauses = scenario('Redis closes connections and pauses', {}, async (scene) => {
  const { engine, prng, join, expect, note } = scene;
  const { redis, gateways } = engine;
  const probe = await startServiceProbe(scene);
  const users = await join({ units: 40 }, { spreadMs: 16_000, patienceMs: 60_000 });
  /** Rooms survive this: no gateway may leave the load balancer. */
  const expectReady = async (pause: string): Promise<void> => {
    const statuses = (await readiness(engine)).slice(0, gateways.length).map(({ status }) => status);
    expect(
      statuses.every((status) => status === 200),
      `R-7: /readyz of the gateways returned ${statuses}, ${pause}`,
    );
  };
  await users.rush(async () => {
    await users.opening();
    let kills = 0;
    for (const until = Date.now() + STORM_MS; Date.now() < until; await sleep(prng.int(20, 300)))
      for (const type of ['normal', 'pubsub']) kills += Number(await redis.admin.call('CLIENT', 'KILL', 'TYPE', type));
    note(`${kills} connections killed`);
    await probe.expectBack(users, 'storm', Date.now());

    await redis.admin.call('CLIENT', 'PAUSE', String(PAUSES.paused), 'ALL');
    await sleep(PAUSES.paused - 300);
    await expectReady('CLIENT PAUSE');
    await sleep(300);
    await probe.expectBack(users, 'CLIENT PAUSE', Date.now());

    redis.signal('SIGSTOP');
    await sleep(PAUSES.stopped - 300);
    await expectReady('SIGSTOP');
    redis.signal('SIGCONT');
    await probe.expectBack(users, 'SIGSTOP', Date.now());
  });
  return { unbroken: users.clients, afterCheck: () => probe.check(users) };
});
