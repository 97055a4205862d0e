/** Redis dies, loses its newest writes, or stands still, in the middle of a rush. */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { House } from './engine-under-test.ts';
import { createFlashSaleShow, SALE } from './flash-sale.ts';
import { call } from './plain-http.ts';
import { judge, readBooks } from './run-checker.ts';
import { type Scenario, type Scene, scenario } from './scenario.ts';
import { type Crowd, gather } from './virtual-users.ts';

/** What `everysec` may lose in a power cut. */
const LOSS_MS = 1_000;
const FROZEN_MS = 10_000;
const READY_AGAIN_MS = 8_000;

const readiness = async (house: House): Promise<number[]> => {
  const doors = [...house.gateways.map(({ port }) => `http://127.0.0.1:${port}`), ...house.controlUrls];
  return Promise.all(
    doors.map(async (door) => {
      const answer = await call(door, 'GET', '/readyz');
      return answer.t === 'answer' ? answer.status : 0;
    }),
  );
};

async function readyAgain(house: House): Promise<boolean> {
  const until = Date.now() + READY_AGAIN_MS;
  while (!(await readiness(house)).every((status) => status === 200)) {
    if (Date.now() > until) return false;
    await sleep(100);
  }
  return true;
}

/** Recovery is over when it says so. */
async function recovered({ house }: Scene, show: string): Promise<void> {
  const until = Date.now() + READY_AGAIN_MS;
  const redis = house.redis.client();
  while (Date.now() < until) {
    const { events } = await readBooks(redis, show);
    if ([...events.values()].some(({ type }) => type === 'show.recovered')) return;
    await sleep(100);
  }
}

/**
 * A server that lost something says so: another epoch, what was checked, and the sale paused
 * meanwhile.
 */
async function recoverySaid({ house, expect }: Scene, crowd: Crowd, epochBefore: string): Promise<void> {
  const { show } = crowd.world.staged;
  const books = await readBooks(house.redis.client(), show);
  const said = [...books.events.values()].map(({ type }) => type);
  expect(books.epoch !== epochBefore, 'E-4: the epoch is the same after a restart of Redis');
  expect(said.includes('show.recovered'), `show.recovered is not in the log: ${said.join(', ')}`);
  const opened = said.lastIndexOf('sale.opened');
  if (opened >= 0)
    expect(
      said.lastIndexOf('sale.resumed') > said.lastIndexOf('sale.paused'),
      `the sale did not resume: ${said.join(', ')}`,
    );
  for (const client of crowd.clients) {
    expect(client.epoch === books.epoch, `a client still stands in epoch ${client.epoch}`);
    expect(client.snapshots > 0, 'E-4: a client got no snapshot with the new epoch');
  }
}

function redisKilled(mode: 'always' | 'everysec'): Scenario {
  return scenario(`redis killed, ${mode}`, { appendfsync: mode }, async (scene) => {
    const { house, prng, expect, note } = scene;
    const staged = await createFlashSaleShow(house, 'kill', { units: 14, opensInMs: 1_500 });
    const crowd = await gather(house, staged, prng, { spreadMs: 900 });
    const epochBefore = crowd.clients[0]?.epoch ?? '';
    let crash = { fromMs: 0, toMs: 0 };
    const killing = (async () => {
      await sleep(Math.max(0, staged.opensAt - Date.now()) + prng.int(0, 800));
      // A write that was put off behind a slow fsync dies with the process: the mode allows about a
      // second.
      const fromMs = Date.now() - LOSS_MS;
      await house.redis.crashAndRestart({ downMs: prng.int(600, 1_400) });
      crash = { fromMs, toMs: Date.now() };
      expect(
        await readyAgain(house),
        `not ready ${READY_AGAIN_MS} ms after Redis came back: ${await readiness(house)}`,
      );
    })();
    await Promise.all([crowd.rush(), killing]);
    await recovered(scene, staged.show);
    const verdict = await judge(house, crowd, mode === 'everysec' ? { mayBeLost: crash } : {});
    await recoverySaid(scene, crowd, epochBefore);
    expect(
      crowd.watchers.every(({ losses }) => losses === 0),
      'R-7: a watcher lost its line because Redis was away',
    );
    note(
      `${crowd.buyers.reduce((sum, { refused }) => sum + (refused.get('redis_unavailable') ?? 0), 0)} answers redis_unavailable`,
    );
    await crowd.leave();
    return verdict;
  });
}

export const redisKilledAlways = redisKilled('always');
export const redisKilledEverysec = redisKilled('everysec');

/**
 * What a power cut leaves of an append-only file that was last forced to disk at an earlier size.
 */
function appendFile(house: House): { path: string; size(): number } {
  const folder = join(dirname(house.redis.socketPath), 'appendonlydir');
  const name = readdirSync(folder).find((file) => file.endsWith('.incr.aof'));
  if (!name) throw new Error(`no append-only file in ${folder}`);
  const path = join(folder, name);
  return { path, size: () => statSync(path).size };
}

export const powerCut = scenario('power cut, everysec', { appendfsync: 'everysec' }, async (scene) => {
  const { house, prng, note, expect } = scene;
  const staged = await createFlashSaleShow(house, 'power', { units: 14, opensInMs: 1_500 });
  const crowd = await gather(house, staged, prng, { spreadMs: 900 });
  const epochBefore = crowd.clients[0]?.epoch ?? '';
  let window = { fromMs: 0, toMs: 0 };
  let cutBytes = 0;
  const cutting = (async () => {
    const file = appendFile(house);
    await sleep(Math.max(0, staged.opensAt - Date.now()) + prng.int(100, 700));
    const onDisk = file.size();
    const fromMs = Date.now() - LOSS_MS / 10; // answers on their way when the size was read
    await sleep(prng.int(50, LOSS_MS - LOSS_MS / 10 - 100));
    house.redis.signal('SIGKILL');
    await sleep(100);
    cutBytes = file.size() - onDisk;
    truncateSync(file.path, onDisk + prng.int(0, Math.min(cutBytes, 40))); // often in the middle of a command
    await house.redis.crashAndRestart({ downMs: 300 });
    window = { fromMs, toMs: Date.now() };
    expect(await readyAgain(house), 'not ready after Redis came back');
  })();
  await Promise.all([crowd.rush(), cutting]);
  await recovered(scene, staged.show);
  const verdict = await judge(house, crowd, { mayBeLost: window });
  await recoverySaid(scene, crowd, epochBefore);
  note(`${cutBytes} bytes never reached the disk`);
  await crowd.leave();
  return verdict;
});

export const redisFrozen = scenario('redis frozen for 10 s', {}, async ({ house, prng, expect, note }) => {
  const staged = await createFlashSaleShow(house, 'ice', { units: 14, opensInMs: 1_500 });
  const crowd = await gather(house, staged, prng, { patienceMs: 40_000 });
  const told: string[] = [];
  const freezing = (async () => {
    await sleep(Math.max(0, staged.opensAt - Date.now()) + prng.int(50, 400));
    house.redis.signal('SIGSTOP');
    const thawAt = Date.now() + FROZEN_MS;
    await sleep(FROZEN_MS * 0.7);
    const frozen = await readiness(house);
    expect(
      frozen.every((status) => status === 503),
      `readyz said ${frozen} while Redis stood still for ${FROZEN_MS * 0.7} ms (gateways, control)`,
    );
    await sleep(Math.max(0, thawAt - Date.now()));
    house.redis.signal('SIGCONT');
    expect(await readyAgain(house), `not ready after Redis went on: ${await readiness(house)}`);
    // And events go on.
    const { body } = (await call(staged.control, 'POST', `/v1/shows/${staged.show}/announcements`, {
      text: 'We are back',
    })) as {
      body: Record<string, unknown>;
    };
    told.push(JSON.stringify(body));
  })();
  await Promise.all([crowd.rush(), freezing]);
  for (const client of crowd.clients)
    await client.until(() => client.events.some(({ type }) => type === 'announcement'), 5_000);
  const verdict = await judge(house, crowd, { unbroken: crowd.watchers });
  for (const client of crowd.clients)
    expect(client.losses === 0, `a line broke because Redis stood still: ${JSON.stringify(client.lastClose)}`);
  const slowest = Math.max(0, ...crowd.clients.flatMap(({ answerMs }) => answerMs));
  expect(
    crowd.watchers.every((client) => client.events.some(({ type }) => type === 'announcement')),
    `a watcher missed what came after: ${told}`,
  );
  note(`slowest answer ${Math.round(slowest)} ms, sale ${SALE}`);
  await crowd.leave();
  return verdict;
});
