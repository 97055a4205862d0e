/** One user on several nodes: mutes, chat rates and unique viewers apply to the user. */
import t from 'tap';
import { times } from '../support/store-fixture.ts';
import { holdsIn } from '../support/until.ts';
import type { Client } from './client.ts';
import { startWorld, test, until } from './harness.ts';
import { SdkViewer } from './sdk-viewer.ts';

test('a muted user is notified, and refused on every node until the end (L-4.1, L-4.2, L-4.3)', async (t, world) => {
  const first = await world.join({ user: 'troll' });
  const other = await world.join({ user: 'troll', node: await world.addNode() });
  t.equal((await first.say('boo')).t, 'ok');
  t.ok((await world.store.mute(world.show, 'troll', 60_000)).ok);
  const { until: endsAt } = await other.type('mute');
  t.equal((await first.type('mute')).until, endsAt, 'all connections get when it ends');
  t.equal((await other.say('boo')).code, 'muted', 'the other node applies the mute');
  const refused = await first.say('boo');
  t.match(refused, { t: 'error', code: 'muted' });
  t.ok(refused.retryAfterMs > 50_000 && refused.retryAfterMs <= 60_000, String(refused.retryAfterMs));
  const later = await world.connect({ user: 'troll', node: await world.addNode() });
  t.equal((await later.type('welcome')).you.mutedUntil, endsAt);
  t.equal((await later.say('boo')).code, 'muted', 'on a node that starts later');
  t.equal((await later.request({ t: 'react', n: 1 })).t, 'ok', 'only chat is refused');
  const events = first.events().length;
  t.ok(await world.store.mute(world.show, 'troll', 1_000));
  await until(async () => (await first.say('sorry')).t === 'ok', 'the mute expires');
  await world.store.mute(world.show, 'troll', 60_000);
  await world.store.unmute(world.show, 'troll');
  await other.find((m) => m.t === 'mute' && m.until === undefined);
  t.not((await other.say('sorry')).code, 'muted', 'or is lifted');
  t.equal(first.events().length, events, 'viewers get no event');
});

test('a user has one chat rate and one slow mode over all nodes and reconnects (L-3.1, L-3.3)', async (t, world) => {
  // Both nodes have the same name.
  const second = await world.addNode({ node: 'n1' });
  const first = await world.join({ user: 'ann' });
  const onSecond = await world.join({ user: 'ann', node: second });
  const bob = await world.join({ user: 'bob', node: second });
  const burst = await Promise.all(Array.from({ length: 6 }, (_, i) => first.say(`${i}`)));
  t.match(burst, Array(6).fill({ t: 'ok' }));
  await until(() => bob.chat().length === 6, 'the other node has the chat');
  t.match(await onSecond.say('more'), { code: 'rate_limited' });
  t.equal((await bob.say('me too')).t, 'ok', 'other users have their rate');
  await first.close();
  const back = await world.join({ user: 'ann' });
  t.match(await back.say('more'), { code: 'rate_limited' }, 'a reconnect does not reset the rate');

  await world.store.updateShow(world.show, { slowModeMs: 60_000 }, 'test');
  const cyd = await world.join({ user: 'cyd' });
  const cydOnSecond = await world.join({ user: 'cyd', node: second });
  t.equal((await cyd.say('slowly')).t, 'ok');
  await until(() => cydOnSecond.lastText() === 'slowly', 'the other node has the chat');
  const slow = await cydOnSecond.say('at once');
  t.match(slow, { code: 'rate_limited' });
  t.ok(slow.retryAfterMs > 50_000);
  await cyd.close();
  const cydAgain = await world.connect({ user: 'cyd' });
  t.match(await cydAgain.say('at once'), { code: 'rate_limited' });
});

test('an erased user is disconnected, and pages drop their chat (H-9.3)', async (t, world) => {
  const other = await world.addNode();
  const [ann, onOther, bob] = [
    await world.join({ user: 'ann' }),
    await world.join({ user: 'ann', node: other }),
    await world.join({ user: 'bob', node: other }),
  ];
  t.equal((await ann.say('hello')).t, 'ok');
  t.equal((await bob.say('hi')).t, 'ok');
  await until(() => bob.chat().length === 2, 'the chat is there');
  await world.store.mute(world.show, 'ann', 60_000);
  const erased = await world.store.eraseInShow(world.show, { user: 'ann', pseudonym: 'erased-1' });
  t.match(erased, { ok: true, value: { step: 'done', counts: { messages: 1, mutes: 1 } } });
  for (const closed of [ann, onOther]) t.match(await closed.closed, { code: 4202, reason: 'forbidden' });
  await until(() => bob.events().some(({ type }) => type === 'chat.removed'), 'the message is removed');
  const late = await world.join({ user: 'cyd', node: await world.addNode() });
  t.same(
    late.chat().map(([, , text]) => text),
    ['hi'],
    'it is not in the history',
  );
  const back = await world.join({ user: 'ann', node: other });
  t.equal((await back.say('hello')).code, 'muted', 'the mute is still there');
  t.equal((await back.say('hello')).code, 'muted');
});

t.test('I9: a user has one rate of requests over connections, nodes and reconnects (L-1.5, L-3.4)', async (t) => {
  const gateway = { rates: { requestsPerSecond: 2 } };
  const world = await startWorld(t, { gateway });
  const nodes = [world.node, await world.addNode(gateway)];
  const third = await world.addNode(gateway);
  const elsewhere = await world.join({ user: 'eve', node: third });
  const bob = await world.join({ user: 'bob', node: third });
  const requests = [
    { t: 'reserve', key: 'k', sale: 'none', lines: [{ sku: 's', qty: 1 }] },
    { t: 'release', key: 'k', reservation: 'none' },
    { t: 'waitlist', key: 'k', op: 'join', sale: 'none', sku: 's' },
    { t: 'resume', epoch: 'other', offset: 0 },
  ];
  const release = requests[1] ?? {};
  const refusal = { code: 'rate_limited', message: /of this user/, retryAfterMs: Number };
  for (const node of nodes) {
    const pair = await world.joinMany(2, () => ({ user: 'eve', node }));
    const startMs = performance.now();
    const replies = await Promise.all(pair.flatMap((each) => requests.map((request) => each.request(request))));
    const refused = replies.filter(({ code }) => code === 'rate_limited');
    const mayPass = 4 + (2 * (performance.now() - startMs)) / 1_000;
    t.ok(8 - refused.length >= 4 && 8 - refused.length <= mayPass, `${refused.length} of 8 are refused`);
    for (const each of refused) t.match(each, refusal);
  }
  const isKnown = async () => /this user/.test((await elsewhere.request(release)).message);
  t.ok(await holdsIn(10_000, isKnown, 600), 'the third node knows');
  t.match(await bob.request(release), { code: 'reservation_not_found' }, 'other users have their rate');
  await elsewhere.close();
  const back = await world.join({ user: 'eve', node: third });
  t.match(await back.request(release), refusal, 'a reconnect does not reset the rate');
  t.equal((await back.request({ t: 'sync', at: 0 })).t, 'ok', 'other messages are not limited');
});

test('I9: one connection too many of a user closes the oldest, which stays closed (H-9.1, H-9.2)', async (t, world) => {
  const node = await world.addNode({ limits: { perUserMax: 2 } });
  const { show, token } = world;
  const sdk = new SdkViewer({ url: node.url, show, token: token('eve') });
  t.teardown(() => sdk.client.close());
  await sdk.welcomed();
  const [phone, bob] = [await world.join({ user: 'eve', node }), await world.join({ user: 'bob', node })];
  const laptop = await world.join({ user: 'eve', node });
  await until(() => sdk.client.status.at === 'closed', 'the SDK stops');
  t.match(sdk.client.status, { at: 'closed', code: 4204, reason: /too many other connections/ });
  await world.join({ user: 'eve', node });
  t.match(await phone.type('bye'), { code: 4204, reason: 'replaced', message: String });
  t.same(await phone.closed, { code: 4204, reason: 'replaced' });
  t.equal((await laptop.request({ t: 'sync', at: 0 })).t, 'ok', 'newer connections stay');
  t.equal((await bob.request({ t: 'sync', at: 0 })).t, 'ok', 'other users stay');
});

test('I9: the connections of a user are limited over all nodes (H-9.1)', async (t, world) => {
  const limits = { perUserMax: 4 };
  const nodes = [await world.addNode({ limits }), await world.addNode({ limits }), await world.addNode({ limits })];
  const connections = nodes.flatMap((node) => times(4, () => world.connect({ user: 'eve', node })));
  const all = await Promise.all(connections);
  const isOpen = ({ socket }: Client): boolean => socket.readyState === socket.OPEN;
  await until(() => all.filter(isOpen).length <= 5, 'of 12 connections about 4 stay', 15_000);
  for (const each of all.filter((one) => !isOpen(one)))
    t.match(await each.type('bye'), { code: 4204, reason: 'replaced' });
  const newest = await Promise.all(nodes.map((node) => world.join({ user: 'eve', node })));
  const bob = await Promise.all(nodes.map((node) => world.join({ user: 'bob', node })));
  for (const each of [...newest, ...bob]) t.equal((await each.request({ t: 'sync', at: 0 })).t, 'ok', 'these stay');
});

test('unique viewers count each user once over nodes and reconnects, without guests (S-3.4)', async (t, world) => {
  const second = await world.addNode();
  const ann = await world.connect({ user: 'ann' });
  for (const node of [world.node, second]) {
    for (const user of ['ann', 'bob', 'cyd']) await world.join({ user, node });
    await world.join({ token: null, node });
  }
  await ann.find((m) => m.state?.unique === 3);
  await ann.find((m) => m.state?.viewers === 9);
  t.match(await world.store.viewerNumbers(world.show), { ok: true, value: { viewers: 9, unique: 3 } });
  const late = await world.connect({ user: 'dee', node: second });
  await ann.find((m) => m.state?.unique === 4);
  t.match((await late.type('welcome')).snapshot.state, { unique: Number });
});
