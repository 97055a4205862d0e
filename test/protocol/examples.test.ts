/** The examples without the SDK, in JavaScript and Python, against an engine. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { ROOT } from '../support/root.ts';
import { until } from '../support/until.ts';

const FOLDER = join(ROOT, 'src/protocol/examples');
const TEE = { sku: 'TEE-M', product: 'tee', price: 1990, quantity: 3 };
const SALE = { id: 'drop', title: 'Drop', currency: 'EUR', perBuyer: 1, holdMs: 60_000, durationMs: 600_000 };

interface Watched {
  request(message: object): Promise<ServerMessage>;
  close(): void;
}
interface WatchOptions {
  readonly url: string;
  readonly show: string;
  readonly token: string;
  readonly onMessage: (message: ServerMessage) => void;
  readonly onEnd?: (why: { code: number }) => void;
}

type Engine = Awaited<ReturnType<typeof startLiveEngine>>;
const openSale = (engine: Engine) => engine.office.createSale(SHOW, { ...SALE, opensInMs: 0, skus: [TEE] }, 'k-drop');
/** Ends all connections, as a node that restarts does. */
const cutAll = async (engine: Engine, t: Test, cut: () => void): Promise<void> => {
  cut();
  const host = await engine.join('host');
  t.teardown(() => host.close());
  t.ok((await host.chat('after the cut')).ok);
};

t.test('JavaScript: chat, a purchase that is decided once, and a position after a lost connection', async (t) => {
  const engine = await startLiveEngine(t);
  await openSale(engine);
  const sockets: WebSocket[] = [];
  class Kept extends WebSocket {
    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args);
      sockets.push(this);
    }
  }
  Object.assign(globalThis, { WebSocket: Kept });
  t.teardown(() => Reflect.deleteProperty(globalThis, 'WebSocket'));
  const { watch } = (await import(pathToFileURL(join(FOLDER, 'viewer.js')).href)) as {
    watch: (options: WatchOptions) => Watched;
  };
  const messages: ServerMessage[] = [];
  const onMessage = (message: ServerMessage): void => void messages.push(message);
  const where = { url: engine.gatewayUrl, show: SHOW };
  const viewer = watch({ ...where, token: await engine.token('ana'), onMessage });
  t.teardown(() => viewer.close());
  await until(() => messages.some((message) => message.t === 'welcome'), 'the welcome');
  t.match(await viewer.request({ t: 'chat', text: 'hello' }), { t: 'ok' });
  const press = { t: 'reserve', key: 'press-1', sale: 'drop', lines: [{ sku: 'TEE-M', qty: 1 }] };
  t.match(await viewer.request(press), { t: 'ok', data: { reservation: { state: 'held' } } });
  await cutAll(engine, t, () => sockets[0]?.terminate());
  t.match(await viewer.request(press), { t: 'ok', data: { replayed: true, reservation: { state: 'held' } } });
  const [, second] = messages.flatMap((message) => (message.t === 'welcome' ? [message] : []));
  t.match(second, { resumed: true, snapshot: undefined });
  const texts = messages.flatMap((message) => ('chat' in message ? (message.chat ?? []) : [])).flatMap(([, , i]) => i);
  t.same(
    texts.map(([, , , text]) => text),
    ['hello', 'after the cut'],
  );

  const ended = new Promise((resolve) => {
    watch({ ...where, token: 'no.token', onMessage: () => {}, onEnd: resolve });
  });
  t.match(await ended, { code: 4202 });
});

const PYTHON = ['python3', '/usr/bin/python3'].find(
  (program) => spawnSync(program, ['-c', 'import websockets']).status === 0,
);
const skip = PYTHON === undefined ? 'no Python with the module websockets' : false;

t.test('Python: chat, and a purchase when the sale opens', { skip }, async (t) => {
  const engine = await startLiveEngine(t);
  // The engine runs in this process, so nothing may block it.
  const run = (...args: string[]) => {
    const child = spawn(PYTHON ?? '', [join(FOLDER, 'viewer.py'), engine.gatewayUrl, SHOW, ...args]);
    t.teardown(() => child.kill());
    const found = { printed: '', ended: new Promise((resolve) => child.once('exit', resolve)) };
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        found.printed += text;
      });
    return found;
  };
  const viewer = run(await engine.token('py'), 'TEE-M');
  const ana = await engine.join('ana');
  t.ok((await ana.chat('hello')).ok);
  await until(() => viewer.printed.includes('ana: hello'), 'the chat');
  await openSale(engine);
  await until(() => /held \w+/.test(viewer.printed), 'the purchase');
  const refused = run('no.token');
  t.equal(await refused.ended, 1);
  t.match(refused.printed, /^bye: /);
});
