/** A master dies, with and without a replica: reported with codes and by /readyz, and survived. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { checkReceived } from '../../gateway/check-received.ts';
import { Conversation } from '../../gateway/conversation.ts';
import { type Node, startEngine, until } from '../../gateway/harness.ts';
import { startCluster } from '../../support/cluster.ts';

const SHOW = 'show';
/** Slower than the chat limit of a viewer. */
const BETWEEN_TRIES_MS = 400;

async function readiness({ port }: Node): Promise<{ status: string; redis: { state: string } }> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  return (await response.json()) as Awaited<ReturnType<typeof readiness>>;
}

async function setUp(t: Test) {
  const cluster = await startCluster();
  t.teardown(() => cluster.stop());
  const engine = await startEngine(t, cluster.url, { show: SHOW });
  const nodes = [engine.node, await engine.addNode()] as const;
  const clients = await Promise.all(
    [0, 1, 2].map((i) => engine.connect({ user: `u${i}`, node: nodes[i % 2 ? 1 : 0] })),
  );
  await Promise.all(clients.map((client) => client.type('welcome')));
  return { cluster, engine, nodes, owner: cluster.ownerOf(SHOW), clients };
}
type Setup = Awaited<ReturnType<typeof setUp>>;

/** Kills the owner of the show while viewers chat. */
async function kill({ owner, clients, engine }: Setup): Promise<Conversation> {
  const conversation = new Conversation(clients, engine.store, SHOW);
  await sleep(300);
  await owner.kill();
  await until(() => conversation.refusals.size > 0, 'requests are refused');
  return conversation;
}

/** Checks that the show continues, and that no client missed anything silently. */
async function checkContinues(t: Test, { engine, nodes, clients }: Setup, conversation: Conversation): Promise<void> {
  for (const node of nodes) await until(async () => (await readiness(node)).status === 'ready', 'ready again', 15_000);
  const [ann] = clients;
  await conversation.end();
  const isAccepted = async (): Promise<boolean> => {
    await sleep(BETWEEN_TRIES_MS);
    return (await ann?.say('and on', 9_000))?.t === 'ok';
  };
  await until(isAccepted, 'chat is accepted again', 15_000);
  // Each node detects the new server separately, and its snapshot replaces earlier events: the
  // last event comes after all snapshots.
  const haveEpoch = () => clients.every(({ received }) => checkReceived(received).epochs.length === 2);
  await until(haveEpoch, 'all clients have the new epoch', 30_000);
  await until(async () => (await engine.store.announce(SHOW, 'the end', 'test')).ok, 'events are appended again');
  t.same([...conversation.refusals], ['redis_unavailable']);
  for (const client of clients) {
    await until(() => client.events().some(({ data }) => data['text'] === 'the end'), 'all clients receive it', 30_000);
    await until(() => checkReceived(client.received).texts.has('and on'), 'and the chat');
    const { problems, epochs } = checkReceived(client.received);
    t.same(problems, []);
    t.equal(epochs.length, 2, 'another server, one new epoch');
    t.equal(client.socket.readyState, client.socket.OPEN);
  }
}

t.jobs = 2;

t.test('R-7: a master without a replica dies and restarts', async (t) => {
  const setup = await setUp(t);
  const { engine, owner } = setup;
  const conversation = await kill(setup);
  await until(async () => (await readiness(engine.node)).status === 'degraded', 'readiness reports it');
  t.equal((await readiness(engine.node)).redis.state, 'cluster_incomplete');
  await sleep(500);
  await owner.start();
  await checkContinues(t, setup, conversation);
});

t.test('R-7: a replica takes over from a master that dies', async (t) => {
  const setup = await setUp(t);
  const { cluster, engine, owner } = setup;
  await cluster.addReplica(owner);
  const conversation = await kill(setup);
  await checkContinues(t, setup, conversation);
  t.match(await engine.store.verify(SHOW), { ok: true, value: { violations: { length: 0 } } });
});
