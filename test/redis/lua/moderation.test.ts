/** moderate.lua: removed messages and muted users, in the log, on nodes and for later viewers. */
import { Packr } from 'msgpackr';
import { LIMITS } from '../../../src/limits.ts';
import { outcome, pluck, StoreFixture, times, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('moderation:');
const { showTest, store, client, time, recordsOf, published, connectAnother } = fixture;
const packr = new Packr({ useRecords: false, variableMapSize: true });
const say = async (show: string, ...texts: string[]): Promise<number> => {
  const items = Buffer.concat(texts.map((text, i) => packr.pack([i, i, 'Ann', text])));
  const batch = { node: 'n1', at: 1_000, count: texts.length, items };
  return unwrap(await store.appendChat(show, batch, Array(texts.length).fill('ann'))).firstId;
};
const textsOf = async (show: string): Promise<unknown[]> =>
  unwrap(await store.load(show)).chat.flatMap(({ items }) =>
    items.length === 0 ? [] : (packr.unpackMultiple(Buffer.from(items)) as unknown[][]).map(([, , , text]) => text),
  );

showTest('a removed message is one numbered event, and is not in the history again', async (t, show) => {
  await say(show, 'one', 'two', 'three');
  await say(show, 'four');
  const [commit] = await published(show, () => store.removeChat(show, [2]));
  t.match(commit?.events, [{ type: 'chat.removed', data: { ids: [2] } }]);
  t.same(await textsOf(show), ['one', 'three', 'four']);
  const repeat = async () => t.same(unwrap(await store.removeChat(show, [2])), { removed: 0 });
  t.same(await published(show, repeat), [], 'repeating changes nothing');
  t.same(unwrap(await store.removeChat(show, [2, 4, 3])), { removed: 2 });
  t.same(await textsOf(show), ['one']);
  t.same(pluck(unwrap(await store.recentChat(show)), 'id'), [1]);
  await say(show, 'five');
  t.same(await textsOf(show), ['one', 'five'], 'ids continue');
  t.equal(unwrap(await store.load(show)).lastChat, 5);
});

showTest('a refused removal changes nothing', async (t, show) => {
  await say(show, 'one');
  const before = await recordsOf(show);
  t.equal(outcome(await store.removeChat(show, [1, 2])), 'not_found', 'an unknown id');
  for (const ids of [[], [0], [-1], [1.5], Array(LIMITS.chatRemovedPerCallMax + 1).fill(1)])
    t.equal(outcome(await store.removeChat(show, ids)), 'invalid_request');
  t.equal(outcome(await store.removeChat('ghost', [1])), 'show_not_found');
  t.same(await recordsOf(show), before);
});

showTest('removed ids are kept only as long as the history', async (t, show) => {
  await say(show, 'one', 'two');
  await say(show, 'three', 'four');
  await store.removeChat(show, [1]);
  await client.xtrim(time.key(show, 'chat'), 'MAXLEN', 1);
  await store.removeChat(show, [4]);
  t.same(await client.zrange(time.key(show, 'removed'), 0, '-1'), ['4']);
  t.same(await textsOf(show), ['three']);
});

showTest('a mute ends by the Redis clock, is sent to nodes and not to viewers, survives restarts', async (t, show) => {
  const [commit] = await published(show, async () => {
    const { user, until } = unwrap(await store.mute(show, 'troll', 60_000));
    t.equal(user, 'troll');
    t.ok(Math.abs(until - store.now() - 60_000) < 5_000);
  });
  t.match(commit, { events: [], mutes: [['troll', Number]] });
  const later = await connectAnother();
  t.match(unwrap(await later.load(show)).mutes, [['troll', commit?.mutes?.[0]?.[1] ?? 0]]);
  t.match(unwrap(await later.mutes(show)), [{ user: 'troll', until: commit?.mutes?.[0]?.[1] ?? 0 }]);
  const longer = unwrap(await store.mute(show, 'troll', 600_000));
  t.same(unwrap(await store.mutes(show)), [longer], 'a later mute replaces the end');
  const [lifted] = await published(show, () => store.unmute(show, 'troll'));
  t.same(lifted?.mutes, [['troll', 0]]);
  t.same(await published(show, () => store.unmute(show, 'troll')), [], 'nothing to unmute');
  t.same([unwrap(await store.mutes(show)), unwrap(await store.load(show)).mutes], [[], []]);
});

showTest('ended mutes do not count for the limit', async (t, show) => {
  const key = time.key(show, 'mutes');
  const over = times(LIMITS.mutesPerShowMax, (i) => [String(store.now() - 10_000 - i), `old${i}`]).flat();
  await client.zadd(key, ...over);
  t.equal(outcome(await store.mute(show, 'first', 60_000)), 'ok');
  t.equal(await client.zcard(key), 1);
  await client.zadd(key, ...times(LIMITS.mutesPerShowMax - 1, (i) => [String(store.now() + 60_000), `u${i}`]).flat());
  t.equal(outcome(await store.mute(show, 'one too many', 60_000)), 'limit_reached');
  t.equal(outcome(await store.mute(show, 'first', 90_000)), 'ok', 'a muted user may be muted again');
  for (const forMs of [0, LIMITS.muteMinMs - 1, LIMITS.muteMaxMs + 1, 1500.5])
    t.equal(outcome(await store.mute(show, 'x', forMs)), 'invalid_request');
  t.equal(outcome(await store.mute(show, '', 60_000)), 'invalid_request');
  t.equal(outcome(await store.mute('ghost', 'x', 60_000)), 'show_not_found');
});
