/** SDK viewers whose connections drop or whose nodes restart lose nothing without a notice. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePort } from '../../bench/launch/free-port.ts';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { msgpack } from '../../src/client/msgpack.ts';
import { Conversation } from '../gateway/conversation.ts';
import { type Node, startWorld, until, type World } from '../gateway/harness.ts';
import { SdkViewer } from '../gateway/sdk-viewer.ts';
import { times } from '../support/store-fixture.ts';

const VIEWERS = 12;
const DROPS = 3;
const DROPPED_MS = 2_000;
const BETWEEN_DROPS_MS = 800;

async function viewers(t: Test, world: World, urlOf: (i: number) => string): Promise<SdkViewer[]> {
  const all = times(VIEWERS, (i) => {
    const token = world.token(`v${i}`, { role: i % 2 ? 'viewer' : 'buyer' });
    return new SdkViewer({ url: urlOf(i), show: world.show, token, ...(i % 3 === 0 && { codec: msgpack }) });
  });
  for (const { client } of all) t.teardown(() => client.close());
  await Promise.all(all.map((viewer) => viewer.welcomed()));
  return all;
}

/** The writers stay connected, because they are on another node. */
async function converse(world: World, node: Node): Promise<Conversation> {
  const writers = await world.joinMany(3, (i) => ({ user: `t${i}`, node }));
  const conversation = new Conversation(writers, world.store, world.show);
  await until(() => conversation.accepted.length > 3, 'chat is accepted');
  return conversation;
}

async function checkNothingLost(t: Test, world: World, all: readonly SdkViewer[], conversation: Conversation) {
  await conversation.end();
  t.same([...conversation.refusals], []);
  await world.store.announce(world.show, 'the end', 'test');
  const writer = await world.connect({ user: 'last' });
  const last = Number((await writer.say('goodbye')).data.chat);
  for (const viewer of all) {
    const hasAll = (): boolean => viewer.events.includes('the end') && viewer.chat.has(last);
    await until(hasAll, 'the viewer is back and received the end', 12_000);
    t.same(viewer.problems, []);
    const first = conversation.announced.indexOf(viewer.events[0] ?? '');
    t.same(viewer.events.slice(0, -1), conversation.announced.slice(first), 'every event, once, in order');
    t.equal(viewer.unreported(last), 0, 'all chat was received or announced as missed');
  }
}

t.jobs = 2;

t.test('R-2 R-6: viewers whose connections drop three times in a row miss nothing', async (t) => {
  const world = await startWorld(t);
  const second = await world.addNode();
  const proxy = await TcpProxy.to({ port: world.node.port });
  t.teardown(() => proxy.close());
  const all = await viewers(t, world, () => `ws://127.0.0.1:${proxy.port}`);
  const conversation = await converse(world, second);
  for (let drop = 0; drop < DROPS; drop += 1) {
    await proxy.blackout(DROPPED_MS);
    await sleep(BETWEEN_DROPS_MS);
  }
  await checkNothingLost(t, world, all, conversation);
  for (const { snapshots } of all) t.equal(snapshots, 1, 'only the first welcome had one; the others resumed');
  t.ok((await world.node.metric('resumes_total', 'memory')) >= VIEWERS);
  t.equal(await world.node.metric('resumes_total'), await world.node.metric('resumes_total', 'memory'));
});

t.test('D-1 W-5: viewers miss nothing when two nodes restart one after the other during a show', async (t) => {
  const world = await startWorld(t, { publicKeyTokens: true });
  const quiet = await world.addNode();
  // Each node sends its viewers to the other one, as a balancer does.
  const ports = [await freePort(), await freePort()] as const;
  const [firstUrl, secondUrl] = ports.map((port) => `ws://127.0.0.1:${port}`) as [string, string];
  let first = await world.addNode({ port: ports[0], reconnectUrl: secondUrl });
  let second = await world.addNode({ port: ports[1], reconnectUrl: firstUrl });
  const all = await viewers(t, world, (i) => (i % 2 ? first : second).url);
  const conversation = await converse(world, quiet);
  const restart = async (node: Node, reconnectUrl: string): Promise<Node> => {
    await node.gateway.drain({ timeoutMs: 3_000 });
    return world.addNode({ port: node.port, reconnectUrl });
  };
  first = await restart(first, secondUrl);
  await until(async () => (await second.metric('connections')) === VIEWERS, 'the second node has them all', 8_000);
  t.equal(await second.metric('resumes_total', 'memory'), VIEWERS / 2);
  t.equal(await second.metric('resumes_total'), VIEWERS / 2, 'none from the log or a snapshot');
  second = await restart(second, firstUrl);
  await checkNothingLost(t, world, all, conversation);
  for (const { byes, snapshots } of all) {
    t.ok(byes.length >= 1 && byes.length <= 2);
    for (const { reconnectAfterMs = Infinity, pass } of byes) t.ok(reconnectAfterMs <= 3_000 && pass !== undefined);
    t.equal(snapshots, 1, 'no viewer needed another snapshot');
  }
});
