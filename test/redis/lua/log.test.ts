/** Event log, chat history and counters: eventsAfter, chat_append.lua, counts.lua. */
import { Packr } from 'msgpackr';
import type { RelayMessage } from '../../../src/domain/show-log.ts';
import { LIMITS } from '../../../src/limits.ts';
import { pack } from '../../../src/redis/records.ts';
import { listen } from '../../support/listen.ts';
import { HOST, outcome, pluck, range, StoreFixture, sorted, times, unwrap } from '../../support/store-fixture.ts';
import { until } from '../../support/until.ts';

const fixture = await StoreFixture.open('log:');
const { showTest, store, client, time, connectAnother } = fixture;
const packr = new Packr({ useRecords: false, variableMapSize: true });
const batch = (node: string, texts: string[]) => {
  const items = Buffer.concat(texts.map((text, i) => packr.pack([i, i, 'Ann', text])));
  return { node, at: 1_000, count: texts.length, items };
};

showTest('events after a position are complete and in order, or null', async (t, show) => {
  const { epoch } = unwrap(await store.load(show)).snapshot;
  for (let i = 0; i < 8; i++) await store.announce(show, `n${i}`, HOST);
  const all = unwrap(await store.eventsAfter(show, epoch, 0)) ?? [];
  t.same(pluck(all, 'offset'), range(10, 1));
  for (const after of [0, 1, 5, 9]) t.same(unwrap(await store.eventsAfter(show, epoch, after)), all.slice(after));
  t.same(unwrap(await store.eventsAfter(show, epoch, 10)), [], 'no newer event');
  t.equal(unwrap(await store.eventsAfter(show, epoch, 11)), null, 'a position in the future');
  t.equal(unwrap(await store.eventsAfter(show, 'another-epoch', 5)), null);
  t.equal(unwrap(await store.eventsAfter('ghost', epoch, 0)), null);
});

showTest('an invalid position returns null', async (t, show) => {
  const { epoch } = unwrap(await store.load(show)).snapshot;
  for (const after of [-1, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER]) {
    const result = await store.eventsAfter(show, epoch, after).catch((error: unknown) => `threw ${error}`);
    t.ok(typeof result === 'object' && (!result.ok || result.value === null), `${after}: ${JSON.stringify(result)}`);
  }
});

showTest('a trimmed log returns null instead of a gap', async (t, show) => {
  const { epoch } = unwrap(await store.load(show)).snapshot;
  for (let i = 0; i < 8; i++) await store.announce(show, `n${i}`, HOST);
  await client.xtrim(time.key(show, 'log'), 'MAXLEN', 4);
  t.equal(unwrap(await store.eventsAfter(show, epoch, 0)), null);
  t.equal(unwrap(await store.eventsAfter(show, epoch, 5)), null);
  t.same(pluck(unwrap(await store.eventsAfter(show, epoch, 6)) ?? [], 'offset'), [7, 8, 9, 10]);
  await client.xdel(time.key(show, 'log'), '8-0');
  t.equal(unwrap(await store.eventsAfter(show, epoch, 6)), null, 'a gap in the middle');
  await fixture.skipCommitCheck(show);
});

showTest('concurrent writers get every number once', async (t, show) => {
  const stores = [store, await connectAnother(), await connectAnother()];
  const announced = await Promise.all(times(90, (i) => (stores[i % 3] ?? store).announce(show, `n${i}`, HOST)));
  const offsets = announced.map((result) => unwrap(result).offset);
  t.same(sorted(offsets), range(90, 3));
});

showTest('chat ids continue over batches and nodes, and the relay carries the same bytes', async (t, show) => {
  const other = await connectAnother();
  const { received } = await listen(store, show);
  const [a, b, c] = [batch('n1', ['one', 'two', 'three']), batch('n2', ['four']), batch('n1', ['five', 'six'])];
  t.same(unwrap(await store.appendChat(show, a, ['ann', 'bob', 'ann'])), { firstId: 1 });
  t.same(unwrap(await other.appendChat(show, b, ['cyd'])), { firstId: 4 });
  t.same(unwrap(await store.appendChat(show, c, ['ann', 'bob'])), { firstId: 5 });
  await until(() => received.length >= 3, 'messages of the relay');
  const batches = [
    { firstId: 1, node: 'n1', count: 3, items: a.items },
    { firstId: 4, node: 'n2', count: 1, items: b.items },
    { firstId: 5, node: 'n1', count: 2, items: c.items },
  ];
  const messages = batches.map((batch) => ({ kind: 'chat', batch }));
  t.match(received, { ...messages, length: 3 });
  const { chat } = unwrap(await store.load(show));
  t.match(chat, { ...batches, length: 3 });
  t.same(Buffer.from(chat[0]?.items ?? []), a.items);
  t.equal(outcome(await store.appendChat('ghost', a, [])), 'show_not_found');
});

showTest('concurrent appends never share an id', async (t, show) => {
  const stores = [store, await connectAnother()];
  const two = ['a', 'b'];
  const appended = await Promise.all(
    times(40, (i) => (stores[i % 2] ?? store).appendChat(show, batch(`n${i % 2}`, two), two)),
  );
  const firsts = appended.map((result) => unwrap(result).firstId);
  t.same(sorted(firsts), range(40, 1, 2));
});

showTest('the loaded chat is bounded: the newest messages of the newest batches (R-6.1)', async (t, show) => {
  const texts = times(200, (i) => `m${i}`);
  for (let i = 0; i < 5; i++) await store.appendChat(show, batch('n', texts), []);
  const loaded = unwrap(await store.load(show)).chat;
  t.same(pluck(loaded, 'firstId'), [401, 601, 801], 'whole batches, until there are enough messages');
  t.ok(loaded.reduce((sum, { count }) => sum + count, 0) >= LIMITS.chatResumeMessagesMax);
  await Promise.all(times(4 * LIMITS.chatRingBatches, () => store.appendChat(show, batch('n', ['x']), [])));
  const kept = await client.xlen(time.key(show, 'chat'));
  t.ok(kept >= LIMITS.chatRingBatches && kept <= 2 * LIMITS.chatRingBatches, `${kept} batches are kept`);
});

showTest('busy users are published if there are other nodes, and counts as before (L-3.4)', async (t, show) => {
  const { received } = await listen(store, show);
  const busy = [['eve', 7] as const];
  await store.reportCounts(show, 'n1', 1, 0, [], busy);
  await store.reportCounts(show, 'n2', 1, 0);
  await store.reportCounts(show, 'n1', 1, 0, [], busy);
  await store.reportCounts(show, 'n1', 1, 0);
  const ofCounts = () => received.filter(({ kind }) => kind === 'counts');
  await until(() => ofCounts().length >= 3, 'messages of the relay');
  const counts = (viewers: number) => ({ kind: 'counts', counts: { viewers, peak: viewers, hearts: 0, unique: 0 } });
  t.same(ofCounts(), [counts(1), counts(2), { ...counts(2), busy: { node: 'n1', requests: busy } }]);
});

showTest('viewers are summed over nodes, hearts over time, and only changes are published', async (t, show) => {
  const other = await connectAnother();
  const { received } = await listen(store, show);
  const reports = [
    { at: store, node: 'n1', viewers: 30, hearts: 0, counts: { viewers: 30, peak: 30, hearts: 0, unique: 0 } },
    { at: other, node: 'n2', viewers: 12, hearts: 7, counts: { viewers: 42, peak: 42, hearts: 7, unique: 0 } },
    { at: store, node: 'n1', viewers: 20, hearts: 3, counts: { viewers: 32, peak: 42, hearts: 10, unique: 0 } },
    { at: store, node: 'n1', viewers: 20, hearts: 0, counts: { viewers: 32, peak: 42, hearts: 10, unique: 0 } },
    // A node without viewers leaves.
    { at: other, node: 'n2', viewers: 0, hearts: 0, counts: { viewers: 20, peak: 42, hearts: 10, unique: 0 } },
  ];
  for (const { at, node, viewers, hearts, counts } of reports)
    t.same(unwrap(await at.reportCounts(show, node, viewers, hearts)).counts, counts);
  await until(() => received.length >= 4, 'messages of the relay');
  const changes = reports.filter((_, i) => i !== 3).map(({ counts }) => ({ kind: 'counts', counts }));
  t.same(received, changes);
  const loaded = unwrap(await store.load(show));
  t.match(loaded.snapshot.state, { viewers: 20, peak: 42, hearts: 10, unique: 0 });
  const position = { epoch: loaded.snapshot.epoch, rev: loaded.rev };
  t.match(unwrap(await store.reportCounts(show, 'n1', 20, 0)), position);
  t.equal(outcome(await store.reportCounts('ghost', 'n1', 1, 0)), 'show_not_found');
});

showTest('unique viewers are counted once, over nodes and visits, within a few percent', async (t, show) => {
  const other = await connectAnother();
  const users = (from: number, to: number): string[] => times(to - from, (i) => `user-${from + i}`);
  t.equal(unwrap(await store.reportCounts(show, 'n1', 3, 0, users(0, 3))).counts.unique, 3);
  t.equal(unwrap(await other.reportCounts(show, 'n2', 2, 0, users(1, 5))).counts.unique, 5, 'two of them were known');
  t.equal(unwrap(await store.reportCounts(show, 'n1', 0, 0)).counts.unique, 5, 'users stay counted');
  const { received } = await listen(store, show);
  t.equal(unwrap(await store.reportCounts(show, 'n1', 0, 0, users(0, 5))).counts.unique, 5);
  for (let from = 0; from < 20_000; from += LIMITS.uniquesPerReportMax)
    await store.reportCounts(show, 'n1', 0, 0, users(from, from + LIMITS.uniquesPerReportMax));
  const { unique = 0 } = unwrap(await store.load(show)).snapshot.state;
  t.ok(Math.abs(unique - 20_000) < 20_000 * 0.04, `${unique} of 20000`);
  const published = (): number[] =>
    received.flatMap((each) => (each.kind === 'counts' ? [each.counts.unique] : [])).filter((count) => count > 5);
  await until(() => published().includes(unique), 'messages of the relay');
  t.equal(published().length, 20_000 / LIMITS.uniquesPerReportMax, 'only changes are published');
  const bytes = (await client.memory('USAGE', time.key(show, 'uniques'))) ?? 0;
  t.ok(bytes < 20_000, 'the size does not grow with the users');
  t.match(unwrap(await store.viewerNumbers(show)), { viewers: 2, unique });
});

showTest('a node that stopped reporting is dropped', async (t, show) => {
  await store.reportCounts(show, 'dead', 1_000, 0);
  await store.reportCounts(show, 'alive', 5, 0);
  t.equal(unwrap(await store.reportCounts(show, 'alive', 5, 0)).counts.viewers, 1_005);
  // Its last report is too old.
  await client.hset(time.key(show, 'nodes'), 'dead', pack([1_000, store.now() - LIMITS.nodeCountsTtlMs - 1_000]));
  const counts = { viewers: 5, peak: 1_005, hearts: 0, unique: 0 };
  t.same(unwrap(await store.reportCounts(show, 'alive', 5, 0)).counts, counts);
  t.same(unwrap(await store.viewerNumbers(show)), counts);
  t.same(await client.hkeys(time.key(show, 'nodes')), ['alive']);
});

showTest('after one listener unsubscribes, the other still receives messages', async (t, show) => {
  // Commits of the new show may still arrive: only announcements count.
  const announcements = (list: RelayMessage[]): string[] =>
    list
      .flatMap((message) => (message.kind === 'commit' ? message.commit.events : []))
      .flatMap(({ type, data }) => (type === 'announcement' ? [String(data.text)] : []));
  const { received } = await listen(store, show);
  const { received: brief, unsubscribe } = await listen(store, show);
  await store.announce(show, 'to both', HOST);
  await until(() => announcements(brief).length >= 1, 'messages of the relay');
  await unsubscribe();
  await store.announce(show, 'to one', HOST);
  await until(() => announcements(received).length >= 2, 'messages of the relay');
  t.same([announcements(received), announcements(brief)], [['to both', 'to one'], ['to both']]);
});
