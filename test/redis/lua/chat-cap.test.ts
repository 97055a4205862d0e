/** chat_append.lua: above the display cap a fair sample is shown, with all marked messages. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Packr } from 'msgpackr';
import type { ChatAppend, ChatBatch } from '../../../src/domain/chat.ts';
import type { ConnectedStore } from '../../../src/redis/index.ts';
import { listen } from '../../support/listen.ts';
import { range, StoreFixture, times, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('cap:');
const { showTest, store, client, time, connectAnother } = fixture;
const packr = new Packr({ useRecords: false, variableMapSize: true });

function batch(count: number, perSecond: number, marked: number[] = [], node = 'n1'): ChatAppend {
  const items = times(count, (i) => packr.pack([i, i, 'Ann', `text ${i}`, ...(marked.includes(i) ? [3] : [])]));
  const ends = Buffer.alloc(4 * count);
  let end = 0;
  for (const [i, item] of items.entries()) {
    end += item.length;
    ends.writeUInt32LE(end, 4 * i);
  }
  return { node, at: 1_000, count, items: Buffer.concat(items), cap: { perSecond, ends, marked } };
}

const users = (count: number): string[] => times(count, (i) => `u${i}`);
const shownOf = async (show: string, asked: ChatAppend, at: ConnectedStore = store) =>
  unwrap(await at.appendChat(show, asked, users(asked.count))).shown ?? null;
const setWindow = (show: string, window: unknown[]) =>
  client.hset(time.key(show, 'show'), 'chat_window', packr.pack(window));
const indexes = ({ items }: Pick<ChatBatch, 'items'>): number[] =>
  items.length === 0 ? [] : (packr.unpackMultiple(Buffer.from(items)) as Array<[number]>).map(([i]) => i);

showTest('below the cap all messages are shown, up to the last one that fits', async (t, show) => {
  for (let i = 0; i < 3; i++) t.equal(await shownOf(show, batch(10, 30)), null);
  t.equal((await shownOf(show, batch(10, 30)))?.length, 0, 'the second is full');
  t.equal(await shownOf(show, batch(10, 0)), null, '0: no cap at all');
});

showTest('above the cap an even sample is shown, the same in history and relay (C-8.4)', async (t, show) => {
  const { received } = await listen(store, show);
  const shown = (await shownOf(show, batch(200, 50, [0, 1, 77]))) ?? [];
  t.equal(shown.length, 50);
  for (const marked of [0, 1, 77]) t.ok(shown.includes(marked), 'marked messages are always in it');
  const gaps = shown.slice(1).map((index, i) => index - (shown[i] ?? 0));
  t.ok(Math.max(...gaps) <= 6, `no long gap: ${shown}`);
  const { firstId } = unwrap(await store.appendChat(show, batch(5, 0), users(5)));
  t.equal(firstId, 201, 'messages that are not shown have their numbers');
  const chat = () => received.flatMap((message) => (message.kind === 'chat' ? [message.batch] : []));
  while (chat().length < 2) await sleep(5);
  const [first] = chat();
  t.match(first, { firstId: 1, count: 50, taken: 200, last: shown.at(-1) as number });
  t.same(first && indexes(first), shown);
  t.same(packr.unpack(first?.authors ?? Buffer.alloc(0)), users(200), 'authors of all time, for their rates');
  const loaded = unwrap(await store.load(show));
  t.same(loaded.chat.map(indexes), [shown, range(5)]);
  t.equal(loaded.lastChat, 205);
  const recent = unwrap(await store.recentChat(show)).map(({ id, user }) => `${id} ${user}`);
  const expected = [...shown.map((i) => `${i + 1} u${i}`), ...range(5).map((i) => `${201 + i} u${i}`)];
  t.same(recent, expected, 'the host sees the shown messages with authors');
});

showTest('marked messages are always shown, and leave the others the rest of the cap (C-8.2)', async (t, show) => {
  t.same(await shownOf(show, batch(30, 10, range(12))), range(12));
  t.equal(await shownOf(show, batch(5, 10, range(5))), null);
  t.same(await shownOf(show, batch(5, 10)), [], 'nothing is left in this second');
  t.equal(unwrap(await store.load(show)).lastChat, 40, 'a batch that is not shown takes its numbers too');
});

showTest('one cap for all nodes: used, and never exceeded in any second (C-8.1)', async (t, show) => {
  const other = await connectAnother();
  const cap = 100;
  const batches: Array<{ askedMs: number; repliedMs: number; count: number }> = [];
  const started = performance.now();
  const write = async (node: string, at: ConnectedStore, count: number): Promise<void> => {
    for (; performance.now() < started + 3_500; await sleep(20)) {
      const askedMs = performance.now();
      const shown = (await shownOf(show, batch(count, cap, [], node), at))?.length ?? count;
      batches.push({ askedMs, repliedMs: performance.now(), count: shown });
    }
  };
  await Promise.all([write('n1', store, 40), write('n2', other, 5)]);
  const countOf = (some: typeof batches): number => some.reduce((sum, { count }) => sum + count, 0);
  for (const { askedMs: from } of batches) {
    // Redis counted each between its question and its reply.
    const within = batches.filter(({ askedMs, repliedMs }) => askedMs >= from && repliedMs < from + 950);
    if (countOf(within) > cap) t.fail(`${countOf(within)} in a second`);
  }
  const perSecond = countOf(batches.filter(({ repliedMs }) => repliedMs > started + 1_500)) / 2;
  t.ok(perSecond > cap * 0.75, `the cap is used: ${perSecond} a second`);
});

showTest('writers on a quiet node have the same chance as those on a loud one (C-8.3)', async (t, show) => {
  const cap = 100;
  const said = { loud: 0, quiet: 0 };
  const seen = { loud: 0, quiet: 0 };
  const write = async (node: 'loud' | 'quiet', count: number): Promise<void> => {
    said[node] += count;
    seen[node] += (await shownOf(show, batch(count, cap, [], node)))?.length ?? count;
  };
  /** Moves the window by one slot (0.1 s) without waiting. */
  const passTenth = async (): Promise<void> => {
    const packed = await client.hgetBuffer(time.key(show, 'show'), 'chat_window');
    const [slot, sum, ...counts] = packr.unpack(packed as Buffer);
    const older = counts.map(([first, ...rest]: number[]) => [...rest, first]);
    await setWindow(show, [Number(slot) - 1, sum, ...older]);
  };
  for (let tenth = 0; tenth < 300; tenth++) {
    const quietFirst = Math.random() < 0.5;
    for (let tick = 0; tick < 4; tick++) {
      if (quietFirst) await write('quiet', 5);
      await write('loud', 40);
      if (!quietFirst) await write('quiet', 5);
    }
    await passTenth();
  }
  const [loud, quiet] = [seen.loud / said.loud, seen.quiet / said.quiet];
  t.ok(seen.loud + seen.quiet > 28 * cap * 0.75, `the cap is used: ${seen.loud + seen.quiet} in half a minute`);
  t.ok(quiet > loud / 1.25 && quiet < loud * 1.25, `the same chance: ${loud.toFixed(4)} and ${quiet.toFixed(4)}`);
});

showTest('chat goes on after the Redis clock was set back', async (t, show) => {
  t.equal((await shownOf(show, batch(20, 10)))?.length, 10);
  const ahead = Math.floor((Date.now() + 3_600_000) / 100);
  const [zeros, nines] = [0, 9].map((count) => Array(11).fill(count));
  await setWindow(show, [ahead, 0, nines, zeros, nines]);
  t.equal((await shownOf(show, batch(20, 10)))?.length, 10);
});
