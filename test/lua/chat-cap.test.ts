/** The display cap of a show: chat_append.lua shows a fair sample, the same everywhere, and always the marked ones. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Packr } from 'msgpackr';
import type { ChatAppend, ChatBatch } from '../../src/fanout/ports.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import { Stage, unwrap } from '../support/stage.ts';

const stage = await Stage.open('cap:');
const { store, client, travel } = stage;
const packr = new Packr({ useRecords: false, variableMapSize: true });

function batch(count: number, perSecond: number, marked: number[] = [], node = 'n1'): ChatAppend {
  const items = Array.from({ length: count }, (_, i) => packr.pack([i, i, 'Ann', `text ${i}`, ...(marked.includes(i) ? [3] : [])]));
  const ends = Buffer.alloc(4 * count);
  let end = 0;
  for (const [i, item] of items.entries()) {
    end += item.length;
    ends.writeUInt32LE(end, 4 * i);
  }
  return { node, at: 1_000, count, items: Buffer.concat(items), cap: { perSecond, ends, marked } };
}

const users = (count: number): string[] => Array.from({ length: count }, (_, i) => `u${i}`);
const shownOf = async (show: string, asked: ChatAppend, at: ConnectedStore = store): Promise<readonly number[] | null> =>
  unwrap(await at.appendChat(show, asked, users(asked.count))).shown ?? null;
const indexes = ({ items }: Pick<ChatBatch, 'items'>): number[] =>
  items.length === 0 ? [] : (packr.unpackMultiple(Buffer.from(items)) as Array<[number]>).map(([i]) => i);

stage.scene('below the cap everything is shown, up to the last one that fits', async (t) => {
  const show = await stage.newShow();
  for (let i = 0; i < 3; i++) t.equal(await shownOf(show, batch(10, 30)), null);
  t.equal((await shownOf(show, batch(10, 30)))?.length, 0, 'the second is full');
  t.equal(await shownOf(show, batch(10, 0)), null, '0: no cap at all');
});

stage.scene('above it a sample: evenly spread, numbered, and the same in the history and on the relay', async (t) => {
  const show = await stage.newShow();
  const heard: ChatBatch[] = [];
  unwrap(await store.subscribe(show, { onMessage: (message) => message.kind === 'chat' && heard.push(message.batch), onResync() {} }));
  const shown = (await shownOf(show, batch(200, 50, [0, 1, 77]))) ?? [];
  t.equal(shown.length, 50);
  for (const marked of [0, 1, 77]) t.ok(shown.includes(marked), 'marked messages are always in it');
  const gaps = shown.slice(1).map((index, i) => index - (shown[i] ?? 0));
  t.ok(Math.max(...gaps) <= 6, `no stretch is left out: ${shown}`);
  t.equal(unwrap(await store.appendChat(show, batch(5, 0), users(5))).firstId, 201, 'those left out have their numbers');
  while (heard.length < 2) await sleep(5);
  t.match(heard[0], { firstId: 1, count: 50, taken: 200, last: shown.at(-1) as number });
  t.same(heard.slice(0, 1).map(indexes), [shown]);
  t.same(packr.unpack(heard[0]?.authors ?? Buffer.alloc(0)), users(200), 'authors of all travel, for their rates');
  const loaded = unwrap(await store.load(show));
  t.same(loaded.chat.map(indexes), [shown, [0, 1, 2, 3, 4]]);
  t.equal(loaded.lastChat, 205);
  t.same(
    unwrap(await store.recentChat(show)).map(({ id, user }) => [id, user]),
    [...shown.map((i) => [i + 1, `u${i}`]), ...[0, 1, 2, 3, 4].map((i) => [201 + i, `u${i}`])],
    'the host is listed what was shown, with authors',
  );
});

stage.scene('marked messages are shown above the cap too, and leave the others what is left of it', async (t) => {
  const show = await stage.newShow();
  t.same(await shownOf(show, batch(30, 10, [...Array(12).keys()])), [...Array(12).keys()]);
  t.equal(await shownOf(show, batch(5, 10, [0, 1, 2, 3, 4])), null);
  t.same(await shownOf(show, batch(5, 10)), [], 'nothing is left in this second');
  t.equal(unwrap(await store.load(show)).lastChat, 40, 'a batch that nobody sees takes its numbers all the same');
});

stage.scene('one cap for all nodes, never more in any second, and writers of a loud node have the chance of those of a quiet one', async (t) => {
  const show = await stage.newShow();
  const other = await stage.another();
  const cap = 100;
  const shownAt: Array<[atMs: number, count: number]> = [];
  const said = { loud: 0, quiet: 0 };
  const seen = { loud: 0, quiet: 0 };
  const started = performance.now();
  const talk = async (node: 'loud' | 'quiet', at: ConnectedStore, count: number): Promise<void> => {
    while (performance.now() < started + 3_500) {
      const shown = (await shownOf(show, batch(count, cap, [], node), at))?.length ?? count;
      shownAt.push([performance.now(), shown]);
      if (performance.now() > started + 1_500) {
        said[node] += count;
        seen[node] += shown;
      }
      await sleep(20);
    }
  };
  await Promise.all([talk('loud', store, 40), talk('quiet', other, 5)]);
  for (const [from] of shownAt) {
    const within = shownAt.filter(([at]) => at >= from && at < from + 950).reduce((sum, [, count]) => sum + count, 0);
    if (within > cap) t.fail(`${within} in a second`);
  }
  const perSecond = (seen.loud + seen.quiet) / 2;
  t.ok(perSecond > cap * 0.75, `the cap is used: ${perSecond} a second`);
  const [loud, quiet] = [seen.loud / said.loud, seen.quiet / said.quiet];
  t.ok(quiet > loud / 2 && quiet < loud * 2, `the same chance: ${loud.toFixed(3)} and ${quiet.toFixed(3)}`);
});

stage.scene('a clock of Redis that was set back does not silence the room', async (t) => {
  const show = await stage.newShow();
  t.equal((await shownOf(show, batch(20, 10)))?.length, 10);
  const ahead = Math.floor((Date.now() + 3_600_000) / 100);
  const zeros = Array(11).fill(0);
  await client.hset(travel.key(show, 'show'), 'chat_window', packr.pack([ahead, 0, Array(11).fill(9), zeros, Array(11).fill(9)]));
  t.equal((await shownOf(show, batch(20, 10)))?.length, 10);
});
