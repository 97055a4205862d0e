/** Event log, chat history and counters: eventsAfter, chat_append.lua, counts.lua. */
import { Packr } from 'msgpackr';
import type { RelayMessage } from '../../../src/domain/show-log.ts';
import { LIMITS } from '../../../src/limits.ts';
import { pack } from '../../../src/redis/records.ts';
import { HOST, outcome, StoreFixture, unwrap } from '../../support/store-fixture.ts';
import { until } from '../../support/until.ts';

const fixture = await StoreFixture.open('log:');
const { store, client, time, connectAnother } = fixture;
const packr = new Packr({ useRecords: false, variableMapSize: true });
const batch = (node: string, texts: string[], at = 1_000) => ({
  node,
  at,
  count: texts.length,
  items: Buffer.concat(texts.map((text, i) => packr.pack([i, i, 'Ann', text]))),
});

async function listen(show: string): Promise<RelayMessage[]> {
  const received: RelayMessage[] = [];
  unwrap(await store.subscribe(show, { onMessage: (message) => received.push(message), onResync() {} }));
  return received;
}

fixture.showTest('events after a position are complete and in order, or null', async (t, show) => {
  const { epoch } = unwrap(await store.load(show)).snapshot;
  for (let i = 0; i < 8; i++) await store.announce(show, `n${i}`, HOST);
  const all = unwrap(await store.eventsAfter(show, epoch, 0)) ?? [];
  t.same(
    all.map(({ offset }) => offset),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  for (const after of [0, 1, 5, 9]) t.same(unwrap(await store.eventsAfter(show, epoch, after)), all.slice(after));
  t.same(unwrap(await store.eventsAfter(show, epoch, 10)), [], 'no newer event');
  t.equal(unwrap(await store.eventsAfter(show, epoch, 11)), null, 'a position in the future');
  t.equal(unwrap(await store.eventsAfter(show, 'another-epoch', 5)), null);
  t.equal(unwrap(await store.eventsAfter('ghost', epoch, 0)), null);
});

fixture.showTest('an invalid position returns null', async (t, show) => {
  const { epoch } = unwrap(await store.load(show)).snapshot;
  for (const after of [-1, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER]) {
    const result = await store.eventsAfter(show, epoch, after).catch((error: unknown) => `threw ${error}`);
    t.ok(typeof result === 'object' && (!result.ok || result.value === null), `${after}: ${JSON.stringify(result)}`);
  }
});

fixture.showTest('a trimmed log returns null instead of a gap', async (t, show) => {
  const { epoch } = unwrap(await store.load(show)).snapshot;
  for (let i = 0; i < 8; i++) await store.announce(show, `n${i}`, HOST);
  await client.xtrim(time.key(show, 'log'), 'MAXLEN', 4);
  t.equal(unwrap(await store.eventsAfter(show, epoch, 0)), null);
  t.equal(unwrap(await store.eventsAfter(show, epoch, 5)), null);
  t.same(
    (unwrap(await store.eventsAfter(show, epoch, 6)) ?? []).map(({ offset }) => offset),
    [7, 8, 9, 10],
  );
  await client.xdel(time.key(show, 'log'), '8-0');
  t.equal(unwrap(await store.eventsAfter(show, epoch, 6)), null, 'a gap in the middle');
  await fixture.skipCommitCheck(show);
});

fixture.showTest('concurrent writers get every number once', async (t, show) => {
  const stores = [store, await connectAnother(), await connectAnother()];
  const offsets = await Promise.all(
    Array.from(
      { length: 90 },
      async (_, i) => unwrap(await (stores[i % 3] ?? store).announce(show, `n${i}`, HOST)).offset,
    ),
  );
  t.same(
    [...offsets].sort((a, b) => a - b),
    Array.from({ length: 90 }, (_, i) => i + 3),
  );
});

fixture.showTest('chat ids continue over batches and nodes, and the relay carries the same bytes', async (t, show) => {
  const other = await connectAnother();
  const received = await listen(show);
  const [a, b, c] = [batch('n1', ['one', 'two', 'three']), batch('n2', ['four']), batch('n1', ['five', 'six'])];
  t.same(unwrap(await store.appendChat(show, a, ['ann', 'bob', 'ann'])), { firstId: 1 });
  t.same(unwrap(await other.appendChat(show, b, ['cyd'])), { firstId: 4 });
  t.same(unwrap(await store.appendChat(show, c, ['ann', 'bob'])), { firstId: 5 });
  await until(() => received.length >= 3, 'messages of the relay');
  t.same(
    received.map(
      (message) =>
        message.kind === 'chat' && [
          message.batch.firstId,
          message.batch.node,
          message.batch.count,
          Buffer.from(message.batch.items).toString('hex'),
        ],
    ),
    [
      [1, 'n1', 3, a.items.toString('hex')],
      [4, 'n2', 1, b.items.toString('hex')],
      [5, 'n1', 2, c.items.toString('hex')],
    ],
  );
  const { chat } = unwrap(await store.load(show));
  t.same(
    chat.map(({ firstId, count, node }) => [firstId, count, node]),
    [
      [1, 3, 'n1'],
      [4, 1, 'n2'],
      [5, 2, 'n1'],
    ],
  );
  t.same(packr.unpackMultiple(Buffer.from(chat[0]?.items ?? [])), [
    [0, 0, 'Ann', 'one'],
    [1, 1, 'Ann', 'two'],
    [2, 2, 'Ann', 'three'],
  ]);
  t.equal(outcome(await store.appendChat('ghost', a, [])), 'show_not_found');
});

fixture.showTest('concurrent appends never share an id', async (t, show) => {
  const stores = [store, await connectAnother()];
  const firsts = await Promise.all(
    Array.from(
      { length: 40 },
      async (_, i) =>
        unwrap(await (stores[i % 2] ?? store).appendChat(show, batch(`n${i % 2}`, ['a', 'b']), ['x', 'y'])).firstId,
    ),
  );
  t.same(
    [...firsts].sort((a, b) => a - b),
    Array.from({ length: 40 }, (_, i) => 1 + 2 * i),
  );
});

fixture.showTest('the chat history is bounded: the newest messages of the newest batches', async (t, show) => {
  const texts = Array.from({ length: 20 }, (_, i) => `m${i}`);
  for (let i = 0; i < 5; i++) await store.appendChat(show, batch('n', texts), []);
  const loaded = unwrap(await store.load(show)).chat;
  t.same(
    loaded.map(({ firstId }) => firstId),
    [41, 61, 81],
    'whole batches, until there are enough messages',
  );
  t.ok(loaded.reduce((sum, { count }) => sum + count, 0) >= LIMITS.chatHistoryMessages);
  await Promise.all(
    Array.from({ length: 4 * LIMITS.chatRingBatches }, () => store.appendChat(show, batch('n', ['x']), [])),
  );
  const kept = await client.xlen(time.key(show, 'chat'));
  t.ok(kept >= LIMITS.chatRingBatches && kept <= 2 * LIMITS.chatRingBatches, `${kept} batches are kept`);
});

fixture.showTest('viewers are summed over nodes, hearts over time, and only changes are published', async (t, show) => {
  const other = await connectAnother();
  const received = await listen(show);
  t.same(unwrap(await store.reportCounts(show, 'n1', 30, 0)).counts, { viewers: 30, peak: 30, hearts: 0, unique: 0 });
  t.same(unwrap(await other.reportCounts(show, 'n2', 12, 7)).counts, { viewers: 42, peak: 42, hearts: 7, unique: 0 });
  t.same(unwrap(await store.reportCounts(show, 'n1', 20, 3)).counts, { viewers: 32, peak: 42, hearts: 10, unique: 0 });
  t.same(unwrap(await store.reportCounts(show, 'n1', 20, 0)).counts, { viewers: 32, peak: 42, hearts: 10, unique: 0 });
  t.same(
    unwrap(await other.reportCounts(show, 'n2', 0, 0)).counts,
    { viewers: 20, peak: 42, hearts: 10, unique: 0 },
    'a node without viewers leaves',
  );
  await until(() => received.length >= 4, 'messages of the relay');
  t.same(
    received.map((message) => message.kind === 'counts' && message.counts),
    [
      { viewers: 30, peak: 30, hearts: 0, unique: 0 },
      { viewers: 42, peak: 42, hearts: 7, unique: 0 },
      { viewers: 32, peak: 42, hearts: 10, unique: 0 },
      { viewers: 20, peak: 42, hearts: 10, unique: 0 },
    ],
  );
  const loaded = unwrap(await store.load(show));
  t.match(loaded.snapshot.state, { viewers: 20, peak: 42, hearts: 10, unique: 0 });
  t.match(
    unwrap(await store.reportCounts(show, 'n1', 20, 0)),
    { epoch: loaded.snapshot.epoch, rev: loaded.rev },
    'the result has epoch and revision',
  );
  t.equal(outcome(await store.reportCounts('ghost', 'n1', 1, 0)), 'show_not_found');
});

fixture.showTest('unique viewers are counted once, over nodes and visits, within a few percent', async (t, show) => {
  const other = await connectAnother();
  const users = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `user-${from + i}`);
  t.equal(unwrap(await store.reportCounts(show, 'n1', 3, 0, users(0, 3))).counts.unique, 3);
  t.equal(unwrap(await other.reportCounts(show, 'n2', 2, 0, users(1, 5))).counts.unique, 5, 'two of them were known');
  t.equal(unwrap(await store.reportCounts(show, 'n1', 0, 0)).counts.unique, 5, 'users stay counted');
  const received = await listen(show);
  t.equal(unwrap(await store.reportCounts(show, 'n1', 0, 0, users(0, 5))).counts.unique, 5);
  for (let from = 0; from < 20_000; from += LIMITS.uniquesPerReportMax)
    await store.reportCounts(show, 'n1', 0, 0, users(from, from + LIMITS.uniquesPerReportMax));
  const { unique = 0 } = unwrap(await store.load(show)).snapshot.state;
  t.ok(Math.abs(unique - 20_000) < 20_000 * 0.04, `${unique} of 20000`);
  const published = (): number[] =>
    received.flatMap((message) =>
      message.kind === 'counts' && message.counts.unique > 5 ? [message.counts.unique] : [],
    );
  await until(() => published().includes(unique), 'messages of the relay');
  t.equal(published().length, 20_000 / LIMITS.uniquesPerReportMax, 'only changes are published');
  t.ok(
    ((await client.memory('USAGE', time.key(show, 'uniques'))) ?? 0) < 20_000,
    'the size does not grow with the users',
  );
  t.match(unwrap(await store.viewerNumbers(show)), { viewers: 2, unique });
});

fixture.showTest('a node that stopped reporting is dropped', async (t, show) => {
  await store.reportCounts(show, 'dead', 1_000, 0);
  await store.reportCounts(show, 'alive', 5, 0);
  t.equal(unwrap(await store.reportCounts(show, 'alive', 5, 0)).counts.viewers, 1_005);
  // Its last report is too old.
  await client.hset(time.key(show, 'nodes'), 'dead', pack([1_000, store.now() - LIMITS.nodeCountsTtlMs - 1_000]));
  t.same(unwrap(await store.reportCounts(show, 'alive', 5, 0)).counts, {
    viewers: 5,
    peak: 1_005,
    hearts: 0,
    unique: 0,
  });
  t.same(unwrap(await store.viewerNumbers(show)), { viewers: 5, peak: 1_005, unique: 0, hearts: 0 });
  t.same(await client.hkeys(time.key(show, 'nodes')), ['alive']);
});

fixture.showTest('after one listener unsubscribes, the other still receives messages', async (t, show) => {
  // Commits of the new show may still arrive: only announcements count.
  const announcements = (list: RelayMessage[]): string[] =>
    list
      .flatMap((message) => (message.kind === 'commit' ? message.commit.events : []))
      .flatMap(({ type, data }) => (type === 'announcement' ? [String(data.text)] : []));
  const received = await listen(show);
  const brief: RelayMessage[] = [];
  const { unsubscribe } = unwrap(
    await store.subscribe(show, { onMessage: (message) => brief.push(message), onResync() {} }),
  );
  await store.announce(show, 'to both', HOST);
  await until(() => announcements(brief).length >= 1, 'messages of the relay');
  await unsubscribe();
  await store.announce(show, 'to one', HOST);
  await until(() => announcements(received).length >= 2, 'messages of the relay');
  t.same([announcements(received), announcements(brief)], [['to both', 'to one'], ['to both']]);
});
