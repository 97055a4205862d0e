/** A replica of Redis is promoted during a rush, behind an address that moves to it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EnginePlan } from './engine-under-test.ts';
import type { Replicas } from './replicas.ts';
import { type Scenario, type Scene, scenario } from './scenario.ts';
import { checkRecovery, startServiceProbe } from './service-probe.ts';

type Window = { readonly fromMs: number; readonly toMs: number };
interface Failing {
  readonly replicas: Replicas;
  /** New connections lead to the replica from now on. Existing ones stay. */
  moveAddress(): void;
  readonly scene: Scene;
}
/** Resolves when the new primary takes writes. What the old one took in the window may be lost. */
type Failover = (failing: Failing) => Promise<{ mayBeLost?: Window }>;

const SALE = { units: 30 };
const LAG_MS = 700;
const FROZEN_MS = 500;
/** Replication and replies are under way for so long. */
const IN_FLIGHT_MS = 200;

const promotedFirst: Failover = async ({ replicas, moveAddress }) => {
  await replicas.failOver();
  await sleep(300);
  moveAddress();
  return {};
};

/** For a while the address leads to a replica. */
const movedFirst: Failover = async ({ replicas, moveAddress, scene }) => {
  moveAddress();
  scene.engine.redisProxy.cut();
  await sleep(1_000);
  await replicas.failOver();
  return {};
};

/** The primary freezes with its connections open. */
const primaryFreezes: Failover = async ({ replicas, moveAddress }) => {
  const fromMs = Date.now() - IN_FLIGHT_MS;
  replicas.primary.signal('SIGSTOP');
  await sleep(FROZEN_MS);
  await replicas.promote();
  moveAddress();
  return { mayBeLost: { fromMs, toMs: Date.now() } };
};

/** What the old primary accepts in the meantime is lost. */
const replicaLags: Failover = async ({ replicas, moveAddress, scene }) => {
  const fromMs = Date.now() - IN_FLIGHT_MS;
  await replicas.disconnect();
  await sleep(LAG_MS + scene.prng.int(0, 300));
  moveAddress();
  await replicas.promote();
  await sleep(100);
  await replicas.follow();
  return { mayBeLost: { fromMs, toMs: Date.now() + IN_FLIGHT_MS } };
};

function failover(name: string, failOver: Failover, plan: EnginePlan = {}): Scenario {
  return scenario(`failover, ${name}`, { hasReplica: true, ...plan }, async (scene) => {
    const { engine, prng, join } = scene;
    const replicas = engine.replicas as Replicas;
    const probe = await startServiceProbe(scene);
    const users = await join(SALE, { spreadMs: 5_000 });
    const epochBefore = users.clients[0]?.epoch ?? '';
    const { primary, standby } = replicas;
    const moveAddress = (): void => engine.redisProxy.moveTo({ path: standby.socketPath });
    let allowances: Awaited<ReturnType<Failover>> = {};
    await users.rush(async () => {
      await users.opening(prng.int(300, 900));
      allowances = await failOver({ replicas, moveAddress, scene });
      await probe.expectBack(users, 'failover', Date.now());
    });
    primary.signal('SIGCONT');
    await replicas.follow();
    const afterCheck = async (): Promise<void> => {
      await checkRecovery(scene, users, epochBefore);
      await probe.check(users);
    };
    return { ...allowances, afterCheck };
  });
}

export const replicaPromoted = failover('then the address moves', promotedFirst);
export const addressMoved = failover('after the address moved', movedFirst);
export const primaryFrozen = failover('the primary is frozen', primaryFreezes);
export const writesLost = failover('the replica lags', replicaLags);
export const workersFailedOver = failover('two workers', promotedFirst, { gateways: 1, workers: 2 });
