/**
 * A master dies in mid-show, with and without a replica to take over: said with codes and by
 * /readyz, and survived without a restart.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { checkReceived } from '../../gateway/check-received.ts';
import type { Client } from '../../gateway/client.ts';
import { Conversation } from '../../gateway/conversation.ts';
import { type Engine, type Node, startEngine, until } from '../../gateway/harness.ts';
import { type ClusterNode, startCluster, type TestCluster } from '../../support/cluster.ts';

const SHOW = 'night';
/** Within what a talker may say. */
const BETWEEN_TRIES_MS = 400;

async function readiness({ port }: Node): Promise<{ status: number; redis: string }> {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
  return { status: answer.status, redis: ((await answer.json()) as { redis: string }).redis };
}

interface Scene {
  readonly cluster: TestCluster;
  readonly stage: Engine;
  readonly second: Node;
  readonly owner: ClusterNode;
  readonly clients: readonly Client[];
}

async function setScene(t: Test): Promise<Scene> {
  const cluster = await startCluster();
  t.teardown(() => cluster.stop());
  const stage = await startEngine(t, cluster.url, { show: SHOW });
  const second = await stage.addNode();
  const clients = await Promise.all(
    [0, 1, 2].map((i) => stage.connect({ user: `u${i}`, node: i % 2 ? second : stage.node })),
  );
  await Promise.all(clients.map((client) => client.type('welcome')));
  return { cluster, stage, second, owner: cluster.ownerOf(SHOW), clients };
}

/** The show goes on by itself, and nobody lost anything in silence. */
async function goesOn(t: Test, { stage, second, clients }: Scene, conversation: Conversation): Promise<void> {
  for (const node of [stage.node, second])
    await until(async () => (await readiness(node)).status === 200, 'ready again', 15_000);
  const [ann] = clients;
  await conversation.end();
  const saidAgain = async (): Promise<boolean> => {
    await sleep(BETWEEN_TRIES_MS);
    return (await ann?.say('and on', 9_000))?.t === 'ok';
  };
  await until(saidAgain, 'chat is accepted again', 15_000);
  // Each node finds the new server in its own time, and its snapshot stands for the events before:
  // the last one comes after all of them.
  await until(
    () => clients.every(({ received }) => checkReceived(received).epochs.length === 2),
    'everybody has the new epoch',
    30_000,
  );
  await until(async () => (await stage.store.announce(SHOW, 'the end', 'test')).ok, 'events are appended again');
  t.same([...conversation.refusals], ['redis_unavailable']);
  for (const client of clients) {
    await until(() => client.events().some(({ data }) => data['text'] === 'the end'), 'everybody hears of it', 30_000);
    await until(() => checkReceived(client.received).texts.has('and on'), 'and of the chat');
    const { problems, epochs } = checkReceived(client.received);
    t.same(problems, []);
    t.equal(epochs.length, 2, 'another server, one new epoch');
    t.equal(client.socket.readyState, client.socket.OPEN);
  }
}

t.jobs = 2;

t.test('R-7: a master without a replica dies and comes back', async (t) => {
  const scene = await setScene(t);
  const { stage, owner, clients } = scene;
  const conversation = new Conversation(clients, stage.store, SHOW);
  await sleep(300);
  await owner.kill();
  await until(() => conversation.refusals.size > 0, 'what cannot be had is refused');
  await until(async () => (await readiness(stage.node)).status === 503, 'readiness says so');
  t.match((await readiness(stage.node)).redis, /cluster/);
  await sleep(500);
  await owner.start();
  await goesOn(t, scene, conversation);
});

t.test('R-7: a replica takes over from a master that dies', async (t) => {
  const scene = await setScene(t);
  const { cluster, stage, owner, clients } = scene;
  await cluster.addReplica(owner);
  const conversation = new Conversation(clients, stage.store, SHOW);
  await sleep(300);
  await owner.kill();
  await until(() => conversation.refusals.size > 0, 'what cannot be had is refused');
  await goesOn(t, scene, conversation);
  t.match(await stage.store.verify(SHOW), { ok: true, value: { violations: [] } });
});
