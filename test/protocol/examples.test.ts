/** The examples without the SDK, in JavaScript and Python, against an engine. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import type { ClientMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { announcements, frame, serve, type Visit } from '../client/scripted-server.ts';
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

const SALE_EVENT = { type: 'sale.opened', at: 1, data: { sale: { id: 'drop', state: 'open', skus: [{ sku: 'A' }] } } };
const isOf = (type: string) => (message: ClientMessage) => message.t === type;

t.test('Python: a refusal is not a purchase, and a gap is resumed (E-2.3)', { skip }, async (t) => {
  let refusals = 0;
  const onMessage = (visit: Visit, message: ClientMessage): void => {
    const id = message.id;
    if (message.t === 'resume') visit.say({ t: 'ok', id, at: 1, data: { resumed: true } } as ServerMessage);
    if (message.t !== 'reserve') return;
    refusals += 1;
    const error = { t: 'error', id, at: 1, code: 'sold_out', message: 'No.' };
    visit.say((refusals === 1 ? error : { t: 'ok', id, at: 1, data: { reservation: { id: 'r7' } } }) as ServerMessage);
    if (refusals === 1) visit.say(frame({ events: [{ ...SALE_EVENT, offset: 5 }] } as never));
  };
  const server = await serve(t, { onMessage });
  const child = spawn(PYTHON ?? '', [join(FOLDER, 'viewer.py'), server.url, 'demo', 'a.b', 'A']);
  t.teardown(() => child.kill());
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  const visit = await server.visit(0);
  visit.say(frame({ events: [{ ...SALE_EVENT, offset: 4 }] } as never));
  await until(() => printed.includes('held r7'), 'the purchase after the refusal');
  t.match(printed, /refused: No\.\nheld r7/);
  visit.say(announcements(9));
  await until(() => visit.received.some(isOf('resume')), 'the resume');
  t.match(visit.received.find(isOf('resume')), { epoch: 'e1', offset: 5 });
});

t.test('JavaScript: a gap is resumed (E-2.3)', async (t) => {
  Object.assign(globalThis, { WebSocket });
  t.teardown(() => Reflect.deleteProperty(globalThis, 'WebSocket'));
  const { watch } = (await import(pathToFileURL(join(FOLDER, 'viewer.js')).href)) as {
    watch: (options: WatchOptions) => Watched;
  };
  const server = await serve(t);
  const viewer = watch({ url: server.url, show: 'demo', token: 'a.b', onMessage: () => {} });
  t.teardown(() => viewer.close());
  const visit = await server.visit(0);
  visit.say(announcements(4));
  visit.say(announcements(9));
  await until(() => visit.received.some(isOf('resume')), 'the resume');
  t.match(visit.received, [{ t: 'resume', epoch: 'e1', offset: 4 }]);
});

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
