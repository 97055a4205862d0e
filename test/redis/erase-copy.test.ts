/** What ends the show, or the erasure, while an eraser copies a stream leaves no key (I9). */
import type { ModerationStore } from '../../src/domain/moderation.ts';
import { LIMITS } from '../../src/limits.ts';
import { RedisConnection } from '../../src/redis/connection.ts';
import { createShowEraser } from '../../src/redis/erase-show.ts';
import { createKeys } from '../../src/redis/keys.ts';
import { createModeration } from '../../src/redis/moderation.ts';
import { ScriptRunner } from '../../src/redis/script-runner.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { erasuresOn } from '../support/erasures.ts';
import { HOST, MODES, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('cpy:');
const { test, store, client, time, hold, confirm, openShow } = fixture;
const { newUser, say } = erasuresOn(fixture);
const connection = new RedisConnection({
  ...{ target: fixture.redis.target, keys: createKeys(fixture.prefix), keyPrefix: fixture.prefix, modes: MODES },
  ...{ runsJobs: false, logger: undefined },
});
test('the connection of the eraser', async (t) => {
  t.equal(await connection.status.firstOutcome(10_000), null);
});
/** Called once, when the eraser has read a page of the stream that it copies. */
let onPage: (() => Promise<unknown>) | null = null;
class WatchedRunner extends ScriptRunner {
  override async guard<T>(work: Parameters<typeof ScriptRunner.prototype.guard<T>>[0]) {
    const read = await super.guard(work);
    const called = read.ok && Array.isArray(read.value) && read.value.length > 0 ? onPage : null;
    if (called !== null) onPage = null;
    await called?.();
    return read;
  }
}
const runner = new WatchedRunner({ connection, keys: createKeys(fixture.prefix) });
const moderation = createModeration(runner);
const OTHER = newUser();

/** Returns an ended show with an order and chat of a user, and one more message of another user. */
async function showOf(user: string): Promise<string> {
  const show = await openShow();
  unwrap(await confirm(show, await hold(show, user)));
  await say(show, [user, OTHER]);
  unwrap(await store.endShow(show, HOST));
  await fixture.skipCommitCheck(show);
  return show;
}

/** Erases a user, and calls `between` when a page of chat is read and not copied yet. */
function eraseWith(show: string, user: string, between: () => Promise<unknown>) {
  const removeChat: ModerationStore['removeChat'] = async (...args) => {
    const removed = await moderation.removeChat(...args);
    onPage = between;
    return removed;
  };
  return createShowEraser(runner, { removeChat })(show, { user, pseudonym: 'erased-x' });
}

const keysOf = async (show: string): Promise<string[]> =>
  (await client.keys('*')).filter((key) => key.includes(`{${show}}`));

test('a show that is deleted while a user is erased leaves no key, so no personal data (I9)', async (t) => {
  const user = newUser();
  const show = await showOf(user);
  const archives = archivesOf(store, temporaryFolder(t));
  const erased = await eraseWith(show, user, async () => t.match(await archives.remove(show), { ok: true }));
  t.match(erased, { ok: true, value: { step: 'gone', counts: { shows: 1 } } });
  t.same(await keysOf(show), []);
  t.match(await eraseWith(show, user, async () => {}), { ok: true, value: { step: 'gone', counts: { shows: 0 } } });
});

test('a show whose deletion has only begun gets no copy either, and the rest is deleted (I9)', async (t) => {
  const user = newUser();
  const show = await showOf(user);
  await eraseWith(show, user, async () => unwrap(await store.condemnShow(show)));
  t.equal(await client.exists(time.key(show, 'rewrite')), 0);
  unwrap(await store.deleteShow(show));
  t.same(await keysOf(show), []);
});

test('a process that took over an erasure is not disturbed by the one before', async (t) => {
  const user = newUser();
  const show = await showOf(user);
  const first = await eraseWith(show, user, async () => unwrap(await eraseWith(show, user, async () => {})));
  t.equal(outcome(first), 'overloaded');
  t.equal(await client.exists(time.key(show, 'rewrite')), 0);
  t.same((await client.xrange(time.key(show, 'chat'), '-', '+')).length, 1);
});

test('the copy of an eraser that was killed expires, and the stream that it became does not (I9)', async (t) => {
  const user = newUser();
  const show = await showOf(user);
  const rewrite = time.key(show, 'rewrite');
  const ttls: number[] = [];
  const watch = setInterval(async () => ttls.push(await client.pttl(rewrite)), 1);
  unwrap(await eraseWith(show, user, async () => {}));
  clearInterval(watch);
  t.notOk(ttls.includes(-1), 'the copy always had an expiry');
  for (const stream of ['chat', 'ledger'] as const) t.equal(await client.pttl(time.key(show, stream)), -1, stream);
  t.ok(LIMITS.erasureMarkMs > LIMITS.retentionRetryMs, 'it is repeated before');
  await connection.close();
});
