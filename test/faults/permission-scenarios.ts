/** The permissions of the engine's Redis user are changed during a rush, and corrected later. */
import { setTimeout as sleep } from 'node:timers/promises';
import { aclRule } from '../../src/redis/permissions.ts';
import { holdsIn } from '../support/until.ts';
import { type EngineUnderTest, KEY_PREFIX, SHOW } from './engine-under-test.ts';
import { type Scenario, scenario, shown } from './scenario.ts';
import { readiness, startServiceProbe } from './service-probe.ts';

const USER = { name: 'engine', password: 'pass/word#of?the%engine', rules: aclRule(KEY_PREFIX).join(' ').split(' ') };
const BROKEN_MS = 3_000;
const ANNOUNCE_EVERY_MS = 200;

interface Change {
  readonly name: string;
  readonly rules: readonly string[];
  readonly restored: readonly string[];
  /** What /readyz of every process names. Null: the engine continues without what it lost. */
  readonly state: 'no_permission' | 'wrong_password' | null;
}

const without = (name: string, state: Change['state']): Change => ({
  name: `-${name}`,
  rules: [`-${name}`],
  restored: [`+${name}`],
  state,
});

const COMMANDS: readonly Change[] = [
  without('xadd', 'no_permission'),
  without('fcall', null),
  { name: 'no keys', rules: ['resetkeys'], restored: [`~${KEY_PREFIX}*`], state: 'no_permission' },
  { name: 'no channels', rules: ['resetchannels'], restored: [`&${KEY_PREFIX}*`], state: 'no_permission' },
];

const LOGIN: readonly Change[] = [
  { name: 'user off', rules: ['off'], restored: ['on'], state: 'wrong_password' },
  {
    name: 'another password',
    rules: ['resetpass', '>another'],
    restored: ['resetpass', `>${USER.password}`],
    state: 'wrong_password',
  },
];

/** Redis checks a password only when a client connects: its connections are closed as well. */
async function change({ redis }: EngineUnderTest, { state }: Change, rules: readonly string[]): Promise<void> {
  await redis.admin.call('ACL', 'SETUSER', USER.name, ...rules);
  if (state === 'wrong_password') await redis.admin.call('CLIENT', 'KILL', 'USER', USER.name);
}

function permissionsChanged(name: string, changes: readonly Change[]): Scenario {
  return scenario(`ACL changed, ${name}`, { user: USER }, async (scene) => {
    const { engine, prng, join, expect } = scene;
    const probe = await startServiceProbe(scene);
    const users = await join({ units: 40 }, { spreadMs: changes.length * 5_000, patienceMs: 60_000 });
    const { office } = users.world.staged;
    let isOver = false;
    const announceAlways = async (): Promise<void> => {
      for (let n = 1; !isOver; n++) {
        await office.announce(SHOW, `Announcement ${n}`).catch(() => {});
        await sleep(ANNOUNCE_EVERY_MS);
      }
    };
    const breakEach = async (): Promise<void> => {
      await users.opening(prng.int(0, 500));
      for (const each of changes) {
        await change(engine, each, each.rules);
        const brokenAt = Date.now();
        if (each.state === null) await probe.expectBack(users, each.name, brokenAt);
        else {
          const isNamed = async () => (await readiness(engine)).every(({ redis }) => redis === each.state);
          const isInTime = await holdsIn(BROKEN_MS, isNamed, 100);
          const reports = await readiness(engine);
          expect(isInTime, `${each.name}: /readyz does not name ${each.state}: ${shown(reports)}`);
          await sleep(brokenAt + BROKEN_MS - Date.now());
        }
        await change(engine, each, each.restored);
        await probe.expectBack(users, `${each.name} corrected`, Date.now());
      }
      isOver = true;
    };
    await users.rush(() => Promise.all([announceAlways(), breakEach()]));
    return { unbroken: users.clients, afterCheck: () => probe.check(users) };
  });
}

export const commandsForbidden = permissionsChanged('commands, keys and channels', COMMANDS);
export const loginRefused = permissionsChanged('user and password', LOGIN);
