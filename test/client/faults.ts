/** Four viewers who watch and buy, each on another broken network: one run for all platforms. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { until } from '../support/until.ts';
import type { Facts } from './fault-viewer.ts';

/** A `FaultViewer`, perhaps in another process. */
export interface RemoteViewer {
  press(key: string): Promise<string>;
  facts(): Promise<Facts>;
}
export interface ViewerOptions {
  readonly url: string;
  readonly show: string;
  readonly token: string;
  readonly requestTimeoutMs: number;
}

/** About 40 KB in a snapshot: a second at 40 KB/s. */
const PRODUCTS = 60;
const IMAGE_URL = `https://images.example/${'x'.repeat(600)}.jpg`;
const LATE_MS = 2_000;
const SLOW_BYTES_PER_SECOND = 40_000;
/** Then the first exchanges of clocks are over, and only a press soon finds a dead connection. */
const EXCHANGES_MS = 1_000;
const CUTS = 4;
const BETWEEN_CUTS_MS = 600;
/** The chat rate of a user is three messages per second. */
const ANNOUNCED_EVERY_MS = 400;

const FAULTS = ['cut', 'late', 'lost', 'slow'] as const;
type Fault = (typeof FAULTS)[number];

async function cutAgainAndAgain(network: TcpProxy): Promise<void> {
  for (let n = 0; n < CUTS; n += 1) {
    network.cut(n % 2 === 0 ? 'before the reply' : 'now');
    await sleep(BETWEEN_CUTS_MS);
  }
}

export async function runFaults(t: Test, open: (options: ViewerOptions) => Promise<RemoteViewer>): Promise<void> {
  const engine = await startLiveEngine(t);
  const { office } = engine;
  for (let n = 0; n < PRODUCTS; n += 1) {
    const product = {
      id: `p${n}`,
      brand: 'nord',
      title: `Product ${n}`,
      imageUrl: IMAGE_URL,
      skus: [{ sku: `P${n}` }],
    };
    t.ok((await engine.store.putProduct(SHOW, product, 'test')).ok);
  }
  const skus = [{ sku: 'TEE-M', product: 'tee', price: 1990, quantity: 100 }];
  const terms = { currency: 'EUR', perBuyer: 5, holdMs: 120_000, opensInMs: 0, durationMs: 300_000 };
  await office.createSale(SHOW, { id: 'drop', title: 'Drop', ...terms, skus }, 'k-drop');
  const writer = await engine.join('writer');

  const port = Number(new URL(engine.gatewayUrl).port);
  const networks = new Map<Fault, TcpProxy>();
  const viewers = new Map<Fault, RemoteViewer>();
  for (const fault of FAULTS) {
    const network = await TcpProxy.to({ port });
    t.teardown(() => network.close());
    networks.set(fault, network);
  }
  const of = (fault: Fault) => networks.get(fault) as TcpProxy;
  of('late').slow({ delayMs: LATE_MS });
  of('slow').slow({ bytesPerSecond: SLOW_BYTES_PER_SECOND });

  let announced = 0;
  let isOver = false;
  const writing = (async () => {
    for (; !isOver; await sleep(ANNOUNCED_EVERY_MS)) {
      announced += 1;
      await office.announce(SHOW, `number ${announced}`);
      await writer.chat(`message ${announced} ${'x'.repeat(200)}`);
    }
  })();

  const buy = async (fault: Fault): Promise<string[]> => {
    const requestTimeoutMs = fault === 'late' ? 6_000 : 1_500;
    const token = await engine.token(fault);
    const viewer = await open({ url: `ws://127.0.0.1:${of(fault).port}`, show: SHOW, token, requestTimeoutMs });
    viewers.set(fault, viewer);
    const first = await viewer.press('first');
    const cutting = fault === 'cut' ? cutAgainAndAgain(of(fault)) : null;
    if (fault === 'lost') {
      await sleep(EXCHANGES_MS);
      of(fault).loseAll();
    }
    const [second, twice] = await Promise.all([viewer.press('second'), viewer.press('second')]);
    t.equal(twice, second, `${fault}: one key is one hold`);
    await cutting;
    // Late replies take two seconds each.
    if (fault !== 'late') t.equal(await viewer.press('second'), second, `${fault}: later too`);
    t.match([first, second], [/^r/, /^r/], `${fault}: each press has its hold`);
    return [first, second].sort();
  };
  const bought = await Promise.all(FAULTS.map(buy));
  isOver = true;
  await writing;
  await office.announce(SHOW, 'the end');
  const goodbye = await writer.chat('goodbye');
  const lastChat = goodbye.ok ? goodbye.value.chat : -1;
  const last = writer.model;
  await until(() => last.announcement?.text === 'the end', 'the end');

  for (const [index, fault] of FAULTS.entries()) {
    const viewer = viewers.get(fault) as RemoteViewer;
    const isCurrent = ({ isOpen, announced: newest, isComplete, lastChat: chat }: Facts): boolean =>
      isOpen && newest === 'the end' && isComplete && chat >= lastChat;
    await until(async () => isCurrent(await viewer.facts()), `${fault}: the viewer has the end`);
    const facts = await viewer.facts();
    t.match(facts, { problems: { length: 0 }, offset: last.offset, products: last.products.size, lostChat: 0 }, fault);
    t.same(facts.holds, bought[index], `${fault}: the holds of the viewer`);
    t.ok(facts.clockErrorMs < LATE_MS, `${fault}: the clock is known within ${facts.clockErrorMs} ms`);
    t.equal(facts.connects > 1, fault === 'cut' || fault === 'lost', `${fault}: ${facts.connects} connections`);
  }
  const { skus: books } = await office.getSale(SHOW, 'drop');
  t.equal(books[0]?.held, FAULTS.length * 2, 'the books have one hold for each key');
  t.same((await office.verify(SHOW)).violations, []);
}
