/** Calls with arguments that types forbid, as plain JavaScript makes them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import t from 'tap';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import { msgpack } from '../../src/client/msgpack.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { joined } from './scripted-server.ts';

type Untyped = Record<string, (...args: unknown[]) => unknown>;

const circular: unknown[] = [];
circular.push(circular);
const WRONG = [undefined, null, 0, -1, 2.5, Number.NaN, true, {}, [], () => 'x', Symbol('x'), 1n, circular];

const lines = [{ sku: 'TEE-M', qty: 1 }];
const CALLS: ReadonlyArray<readonly [method: string, ...args: unknown[]]> = [
  ...['chat', 'reserve', 'release', 'joinWaitlist', 'leaveWaitlist'].flatMap((method) => [
    [method] as const,
    ...WRONG.map((value) => [method, value] as const),
  ]),
  ['reserve', 'flash', lines],
  ['joinWaitlist', 'flash', 'TEE-M'],
  ['release', 'r1', null],
  ...[...WRONG, 'TEE-M', [null], ['TEE-M'], [{}]].map((wrong) => ['reserve', { sale: 'flash', lines: wrong }] as const),
  ['reserve', { sale: 5, lines }],
  ['reserve', { sale: 'flash', lines, key: 5 }],
  ['reserve', { sale: 'flash', lines, key: 1n }],
  ...[1n, 'soon', {}].map((deadlineMs) => ['reserve', { sale: 'flash', lines, deadlineMs }] as const),
  ['reserve', { sale: 'flash', lines: [{ sku: 'TEE-M', qty: '1' }] }],
];

for (const [name, codec] of Object.entries({ JSON: undefined, MessagePack: msgpack }))
  t.test(`a request with wrong arguments gets invalid_message, in ${name}`, async (t) => {
    const engine = await startLiveEngine(t);
    const client = await engine.join('ana', { codec });
    for (const [method, ...args] of CALLS) {
      const outcome = await (client as unknown as Untyped)[method]?.(...args);
      t.match(outcome, { ok: false, error: { code: 'invalid_message', message: /\w/ } }, `${method} ${inspect(args)}`);
      await sleep(30); // below the limit of requests
    }
    t.match(await client.reserve({ sale: 'flash' } as never), { error: { message: 'An argument has a wrong type.' } });
    t.match(await client.chat('still here'), { ok: true });
    t.equal(client.stats.connects, 1);
  });

for (const [name, codec] of Object.entries({ JSON: undefined, MessagePack: msgpack }))
  t.test(`a request above the size limit of the server is refused before it is sent, in ${name}`, async (t) => {
    const engine = await startLiveEngine(t);
    const early = connect({ url: engine.gatewayUrl, show: SHOW, token: await engine.token('bo'), codec, WebSocket });
    t.teardown(() => early.close());
    const client = await engine.join('ana', { codec });
    const refused = { ok: false, error: { code: 'invalid_message', message: /at most 16384 are allowed/ } };
    const many = Array.from({ length: 9_000 }, () => ({ sku: 'é', qty: 1 }));
    const since = performance.now();
    t.match(await early.reserve({ sale: 'flash', lines: many }), refused, 'also before the welcome');
    t.match(await client.reserve({ sale: 'é'.repeat(8_200), lines }), refused, 'in bytes, not in characters');
    t.match(await client.release('x'.repeat(200_000)), refused);
    t.ok(performance.now() - since < 5_000, 'without repeating it');
    const fits = await client.reserve({ sale: 'x'.repeat(16_000), lines });
    t.notMatch(fits, refused, 'the server judges a smaller one');
    t.match(await client.chat('still here'), { ok: true });
    t.same([client.stats.connects, early.stats.connects], [1, 1]);
  });

t.test('hearts of a wrong type count as none, and no sale has a countdown of them', async (t) => {
  const { server, client } = await joined(t);
  const untyped = client as unknown as Untyped;
  for (const wrong of [...WRONG.slice(1), '3']) untyped.heart?.(wrong); // 2.5 is 2
  client.heart();
  for (const wrong of WRONG) t.equal(untyped.countdown?.(wrong), null);
  await sleep(450);
  t.same(server.visits[0]?.received, [{ t: 'react', n: 3 }]);
});

t.test('a listener that is no function, and options without an address or a show, are a TypeError', async (t) => {
  const { server, client } = await joined(t);
  const untyped = client as unknown as Untyped;
  for (const wrong of WRONG.filter((value) => typeof value !== 'function')) {
    t.throws(() => untyped.on?.('chat', wrong), TypeError);
    t.throws(() => untyped.once?.('chat', wrong), TypeError);
    t.throws(() => connect(wrong as never), TypeError);
    t.throws(() => connect({ url: wrong as never, show: 'demo', WebSocket }), TypeError);
  }
  for (const show of [undefined, null, '']) {
    t.throws(() => connect({ url: server.url, show: show as never, WebSocket }), { message: /show/ });
  }
  const options = { url: server.url, show: 'demo', WebSocket };
  for (const [name, wrong] of [
    ['url', `${server.url}/v1/shows/demo`],
    ['url', `${server.url}?a=b`],
    ['show', 5],
    ['token', {}],
    ['codec', 'msgpack'],
    ['requestTimeoutMs', {}],
    ['requestTimeoutMs', 1n],
    ['requestTimeoutMs', true],
    ['WebSocket', {}],
    ['random', 0.5],
  ] as const)
    t.throws(() => connect({ ...options, [name]: wrong } as never), { name: 'TypeError', message: `"${name}"` });
});
