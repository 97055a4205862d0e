/** Erases users from the shows of a fixture, and lets them chat before. */
import { createErasures } from '../../src/archive/index.ts';
import type { ErasureReport } from '../../src/domain/erasure.ts';
import { pack } from '../../src/redis/records.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { type StoreFixture, unwrap } from './store-fixture.ts';

export const logger = createLogger({ level: 'silent' });
export const userName = (n: number): string => `person-${n}@example.org`;
export const nameOf = (user: string): string => `Name of ${user.toUpperCase()}`;
/** Batches with more messages are sampled by a display cap. */
const UNCAPPED_MAX = 3;

function endsOf(items: readonly Buffer[]): Buffer {
  const ends = Buffer.alloc(4 * items.length);
  let end = 0;
  for (const [i, item] of items.entries()) {
    end += item.length;
    ends.writeUInt32LE(end, 4 * i);
  }
  return ends;
}

/** @param first number of the first user that `newUser` returns. */
export function erasuresOn({ store }: StoreFixture, first = 0) {
  let users = first;
  const erasuresOf = (folder: string) => createErasures({ store, folder, logger });
  return {
    newUser: (): string => userName(users++),
    erasuresOf,

    erase: async (folder: string, user: string): Promise<ErasureReport> => unwrap(await erasuresOf(folder).erase(user)),

    /** As if the pause after a try had passed. */
    async letRetry(user: string): Promise<void> {
      const planned = unwrap(await store.planErasure(user));
      unwrap(await store.saveErasure(user, { ...planned, triedAt: 0 }));
    },

    /** Appends one batch of chat with a message of each user. */
    async say(show: string, users: readonly string[]): Promise<void> {
      const items = users.map((user, i) => pack([i, i, nameOf(user), `secret of ${user}`]));
      const batch = { node: 'n', at: 1_000, count: users.length, items: Buffer.concat(items) };
      const cap = { perSecond: 4, marked: [0], ends: endsOf(items) };
      unwrap(await store.appendChat(show, users.length > UNCAPPED_MAX ? { ...batch, cap } : batch, [...users]));
    },
  };
}
