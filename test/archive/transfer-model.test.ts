/**
 * Random shows move to another Redis server, under another prefix, and go on there as if nothing
 * had happened. STAMPEDE_SEED repeats a run.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { exportShow, importShow, verifyArchive } from '../../src/archive/index.ts';
import { pack } from '../../src/redis/records.ts';
import { commands, replay, startRun } from '../model/commands.ts';
import { RealEngine } from '../model/real-engine.ts';
import { USERS } from '../model/steps.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { FIRST_SEED as seed } from '../support/seed.ts';
import { everythingOf } from '../support/show-copy.ts';
import { HOST, StoreFixture, unwrap } from '../support/store-fixture.ts';

const [old, next] = [await StoreFixture.open('old:'), await StoreFixture.open('next:')];
const folder = temporaryFolder(t);
const RUN_MS_MAX = 8_000;

const offsetOf = (events: ReadonlyArray<{ offset: number; type: string }> | null, type: string): number | undefined =>
  events?.find((event) => event.type === type)?.offset;

/** What the model has not: chat, moderation, a capped room, announcements, counts. */
async function addTalk(show: string, messages: number): Promise<void> {
  const { store } = old;
  const items = [0, 1].map((i) => pack([i, 0, `Ann ${i}`, 'Grüße 🎉']));
  const ends = Buffer.from(Uint32Array.from([items[0]?.length ?? 0, Buffer.concat(items).length]).buffer);
  for (let i = 0; i < messages; i++) {
    const chat = { node: 'n', at: i, count: 2, items: Buffer.concat(items) };
    const cap = { perSecond: 3, marked: [1], ends };
    unwrap(await store.appendChat(show, i % 2 === 0 ? chat : { ...chat, cap }, USERS));
  }
  if (messages > 1) unwrap(await store.removeChat(show, [1, 2]));
  unwrap(await store.mute(show, 'u1', 600_000));
  unwrap(await store.announce(show, 'soon', HOST, { key: 'announced' }));
  unwrap(await store.pinProduct(show, 'p', HOST));
  unwrap(await store.reportCounts(show, 'n', 4, 7, USERS));
  unwrap(await store.reportRefusals(show, 'n', 1, [{ sale: 'a', code: 'sold_out', count: 3, offset: 1, rev: 1 }]));
}

t.test(`a random show moves with everything, and sells on there (I1, I2, I4, I8), seed ${seed}`, async (t) => {
  let moved = 0;
  const until = Date.now() + RUN_MS_MAX;
  await fc.assert(
    fc.asyncProperty(commands(40), fc.nat({ max: 4 }), commands(20), async (before, messages, after) => {
      // A run is not interrupted: it would go on behind the end of the test.
      if (Date.now() > until) return;
      const { model, run } = await startRun(old, [old.store, old.store]);
      const { show, ids } = run.real;
      await fc.asyncModelRun(() => ({ model, real: run }), before);
      for (const last of replay({ do: 'tick' })) await last.run(model, run);
      await addTalk(show, messages);
      await old.skipCommitCheck(show);
      const original = await everythingOf(old.store, show, USERS);

      const path = join(folder, `${show}.jsonl.gz`);
      const file = unwrap(await exportShow({ store: old.store, path }, show, '0.0.0-test'));
      t.same(file.manifest.violations, [], 'the books are right');
      unwrap(await importShow({ store: next.store, path }));
      t.notOk(existsSync(`${path}.partial`));
      const copy = await everythingOf(next.store, show, USERS);
      t.same(copy, original, `${show} is the same`);
      const epochs = await Promise.all([old, next].map(({ store }) => store.load(show)));
      t.not(...(epochs.map((loaded) => unwrap(loaded).snapshot.epoch) as [string, string]));
      const repeated = unwrap(await next.store.announce(show, 'soon', HOST, { key: 'announced' }));
      t.equal(repeated.offset, offsetOf(original.events, 'announcement'), 'a repeated key returns its result (I4)');

      const there = { ...run, real: new RealEngine(show, next.time), stores: [next.store, next.store] as const };
      for (const [handle, id] of ids) there.real.ids.set(handle, id);
      await fc.asyncModelRun(() => ({ model, real: there }), after);
      t.same(unwrap(await next.store.verify(show)).violations, []);

      moved += 1;
      // Archiving waits for the pause between two announcements that a sale is sold out.
      if (moved > 1) return;
      unwrap(await next.store.endShow(show, HOST));
      await next.time.passAllDeadlines(show);
      t.match(await archivesOf(next.store, folder).archive(show), { ok: true, value: { summary: { violations: 0 } } });
      t.same((await verifyArchive(join(folder, show))).violations, []);
    }),
    { seed, numRuns: 12, endOnFailure: true },
  );
  t.comment(`${moved} shows moved`);
});
