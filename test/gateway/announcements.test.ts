/** The announcement of a show, for viewers who join later. */
import { setTimeout as sleep } from 'node:timers/promises';
import { HOST, unwrap } from '../support/store-fixture.ts';
import { test } from './harness.ts';

const ENCODINGS = ['json', 'msgpack'] as const;

test('who joins later gets the announcement until it ends (W-2.8, E-7.1, E-7.2, W-8.1)', async (t, world) => {
  const { store, show } = world;
  const address = { videoUrl: 'https://cdn.example/live.m3u8', checkoutUrl: 'https://shop.example/{reservation}' };
  unwrap(await store.updateShow(show, { ...address, posterUrl: 'http://127.0.0.1:9000/poster.jpg' }, HOST));
  const nodes = [world.node, await world.addNode()];
  const first = await world.join();
  async function joinsWith(announcement: object | undefined, name: string): Promise<void> {
    for (const node of nodes)
      for (const encoding of ENCODINGS) {
        const late = await world.connect({ node, encoding, user: `late-${encoding}` });
        const { snapshot } = await late.type('welcome');
        t.match(snapshot.show, { ...address, posterUrl: 'http://127.0.0.1:9000/poster.jpg' });
        t.match(snapshot.announcement, announcement, `${name}, ${encoding}`);
        t.equal(snapshot.announcement === undefined, announcement === undefined, `${name}, ${encoding}`);
        late.socket.terminate();
      }
  }
  const watchers: Awaited<ReturnType<typeof world.connect>>[] = [];
  for (const node of nodes) watchers.push(await world.connect({ node, user: 'watcher' }));
  /** Resolves when each node has sent the announcement. */
  const isSent = async (text: string): Promise<void> => {
    for (const watcher of watchers)
      await watcher.find(({ events = [] }) =>
        events.some(({ type, data }) => type === 'announcement' && data['text'] === text),
      );
  };
  await joinsWith(undefined, 'none');
  unwrap(await store.announce(show, 'Two per person', HOST, undefined, { durationMs: 60_000 }));
  const { events = [] } = await first.event('announcement');
  const [{ at, data } = { at: 0, data: {} }] = events;
  t.match(data, { text: 'Two per person', until: Number });
  await isSent('Two per person');
  await joinsWith({ at, ...data }, 'announced');
  await first.request({ t: 'resume', epoch: 'other', offset: 0 });
  const { snapshot } = await first.find((m) => m.t === 'frame' && m.snapshot !== undefined);
  t.match(snapshot.announcement, { text: 'Two per person' }, 'a later snapshot has it, too');

  unwrap(await store.announce(show, 'Last call', HOST, undefined, { until: store.now() + 3_000 }));
  await isSent('Last call');
  await joinsWith({ text: 'Last call' }, 'replaced');
  await sleep(3_100);
  await joinsWith(undefined, 'over');

  unwrap(await store.announce(show, 'Free shipping', HOST));
  await isSent('Free shipping');
  await joinsWith({ text: 'Free shipping' }, 'the default duration');
  unwrap(await store.clearAnnouncement(show, HOST));
  await isSent('');
  await joinsWith(undefined, 'ended by the host');
});
