/** Counts of operations instead of times: encodings, script calls, bytes, system calls. */
// slow: counts system calls in real time
import { spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { FrameCache } from '../../bench/generator/frame-cache.ts';
import { Viewer } from '../../bench/generator/viewer.ts';
import { startBenchEngine } from '../../bench/launch/engine.ts';
import { builtProgram } from '../../bench/launch/program.ts';
import { DEFAULT_PROFILE } from '../../bench/traces/profile.ts';
import { syntheticTrace } from '../../bench/traces/synthetic.ts';
import { ChatPiece } from '../../src/domain/chat-piece.ts';
import { MessagePackWriter, writeChatItem } from '../../src/domain/message-pack.ts';
import { chatFrames } from '../../src/fanout/frames.ts';
import { CHAT_TIME_STEP_MS, VARIANTS } from '../../src/protocol/messages.ts';
import type { Client } from '../gateway/client.ts';
import { startWorld, type World } from '../gateway/harness.ts';
import { newEncodeCounts } from '../support/encode-counts.ts';

const SCRIPT_CALL = /^(?:evalsha|eval|fcall)/;

/** Script calls run by Redis. */
async function scriptCalls({ redis }: World): Promise<number> {
  const info = await redis.client().info('commandstats');
  return [...info.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].reduce(
    (sum, [, name = '', calls]) => sum + (SCRIPT_CALL.test(name) ? Number(calls) : 0),
    0,
  );
}

async function connectAll(world: World, count: number, protocol: string): Promise<Client[]> {
  const encoding = protocol.endsWith('json') ? 'json' : 'msgpack';
  const connect = (i: number) => world.connect({ user: `${protocol}-${count}-${i}`, protocols: [protocol], encoding });
  const clients = await Promise.all(Array.from({ length: count }, (_, i) => connect(i)));
  await Promise.all(clients.map((client) => client.type('welcome')));
  return clients;
}

const framesOf = (client: Client | undefined): number =>
  client?.received.filter(({ t: type }) => type === 'frame').length ?? 0;

t.test('one encoding per frame and variant, for any number of viewers', async (t) => {
  const world = await startWorld(t);
  const ratios: number[] = [];
  for (const viewers of [2, 20]) {
    const json = await connectAll(world, viewers, 'stampede.v1.json');
    const packed = await connectAll(world, viewers, 'stampede.v1.msgpack');
    await sleep(300);
    const before = { encodes: { ...world.node.metrics.encodes }, json: framesOf(json[0]), packed: framesOf(packed[0]) };
    for (let i = 0; i < 6; i++) {
      await world.store.announce(world.show, `announcement ${i}`, 'test');
      await sleep(30);
    }
    await sleep(300);
    const { encodes } = world.node.metrics;
    const seen = { json: framesOf(json[0]) - before.json, packed: framesOf(packed[0]) - before.packed };
    t.ok(seen.json >= 6 && seen.packed >= 6, `${seen.json} and ${seen.packed} frames received`);
    const encoded = encodes.json - before.encodes.json + encodes.msgpack - before.encodes.msgpack;
    const ratio = encoded / (seen.json + seen.packed);
    t.ok(ratio <= 1.25, `${ratio.toFixed(2)} encodings per frame for ${viewers} viewers`);
    ratios.push(ratio);
    for (const client of [...json, ...packed]) client.terminate();
  }
  t.ok(Math.abs((ratios[1] ?? 9) - (ratios[0] ?? 0)) <= 0.3, 'ten times the viewers need no more encodings');
});

/** Each client sends `each` requests at once. At least eight of them share a script call. */
async function callsFor(
  t: Test,
  world: World,
  clients: readonly Client[],
  each: number,
  send: (client: Client, id: string) => Promise<{ t: string }>,
): Promise<void> {
  await sleep(100);
  const before = await scriptCalls(world);
  const sent = clients.flatMap((client, i) => Array.from({ length: each }, (_, n) => send(client, `${i}-${n}`)));
  const accepted = (await Promise.all(sent)).filter(({ t: type }) => type === 'ok').length;
  const calls = (await scriptCalls(world)) - before;
  t.equal(accepted, clients.length * each);
  t.ok(calls <= accepted / 8, `${calls} script calls for ${accepted} requests`);
}

t.test('many decisions per script call', async (t) => {
  const world = await startWorld(t);
  const clients = await connectAll(world, 40, 'stampede.v1.json');
  const sale = await world.openSale({ quantity: 1_000, perBuyer: 100 });
  const lines = [{ sku: 'shirt-m', qty: 1 }];
  await callsFor(t, world, clients, 6, (client, key) => client.request({ t: 'reserve', key, sale, lines }, 15_000));
});

t.test('many chat messages per script call', async (t) => {
  const world = await startWorld(t);
  const clients = await connectAll(world, 40, 'stampede.v1.json');
  await callsFor(t, world, clients, 5, (client, text) => client.say(text, 15_000));
});

t.test('bytes per chat message of synthetic chat, by variant', async (t) => {
  const messages = syntheticTrace({ profile: { ...DEFAULT_PROFILE, perSecond: 20 }, seconds: 60, seed: 1 });
  const content = Buffer.byteLength(messages.map(({ user, text }) => user + text).join('')) / messages.length;
  const counts = newEncodeCounts();
  const bytes = { json: 0, msgpack: 0, 'msgpack.deflate': 0 };
  for (let from = 0; from < messages.length; from += 20) {
    const writer = new MessagePackWriter();
    const batch = messages.slice(from, from + 20);
    const since = batch[0]?.atMs ?? 0;
    for (const [i, { atMs, user, text }] of batch.entries())
      writeChatItem(writer, i, Math.round((atMs - since) / CHAT_TIME_STEP_MS), user, text, 0);
    const piece = new ChatPiece(1_000 + from, 1_795_399_320_000, batch.length, writer.take());
    for (const frame of chatFrames([piece], 1_795_399_320_496, false, counts))
      for (const variant of VARIANTS) bytes[variant] += frame.in(variant).length;
  }
  const overhead = (variant: keyof typeof bytes): number => bytes[variant] / messages.length - content;
  const overheads = VARIANTS.map((variant) => `${variant} ${overhead(variant).toFixed(1)}`).join(', ');
  t.comment(overheads, `bytes per message beyond its ${content.toFixed(1)} of name and text`);
  t.ok(overhead('msgpack') <= 10, 'MessagePack');
  t.ok(overhead('json') <= 18, 'JSON');
  t.ok(overhead('msgpack.deflate') <= 0, 'compressed, a message is smaller than its name and text');
});

t.test('system calls per delivery', { skip: cannotTrace() }, async (t) => {
  const engine = await startBenchEngine({ append: 'off' });
  t.teardown(() => engine.stop());
  const made = await engine.store.createShow({ id: 'calls', title: 'Calls', guests: true }, 'test');
  t.ok(made.ok && (await engine.store.startShow('calls', 'test')).ok);
  let frames = 0;
  const line = {
    gateway: { host: '127.0.0.1', port: engine.port, pathPrefix: '' },
    show: 'calls',
    variant: 'msgpack' as const,
    frames: new FrameCache(),
  };
  const listener = { onWelcome() {}, onFrame: () => void frames++, onReply() {}, onClose() {} };
  const viewers = Array.from({ length: 40 }, (_, i) => new Viewer(i, line, listener));
  for (const viewer of viewers) viewer.join(0);
  while (!viewers.every(({ welcomed }) => welcomed)) await sleep(20);
  const flags = ['-f', '-c', '-e', 'trace=sendto,sendmsg,sendmmsg,write,writev', '-p', String(engine.pid)];
  const tracer = spawn('strace', flags, { stdio: ['ignore', 'ignore', 'pipe'] });
  let table = '';
  tracer.stderr.setEncoding('utf8').on('data', (text: string) => (table += text));
  while (!table.includes('attached')) await sleep(20);
  const before = frames;
  for (let i = 0; i < 25; i++) {
    await engine.store.announce('calls', `announcement ${i}`, 'test');
    await sleep(40);
  }
  await sleep(300);
  const delivered = frames - before;
  tracer.kill('SIGINT');
  await new Promise((resolve) => tracer.once('close', resolve));
  for (const viewer of viewers) viewer.leave();
  const row = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(sendto|sendmsg|sendmmsg|writev?)$/gm;
  const calls = [...table.matchAll(row)];
  const sends = calls.reduce((sum, [, count, name]) => sum + (name === 'write' ? 0 : Number(count)), 0);
  const counted = calls.map(([, count, name]) => `${name} ${count}`).join(', ');
  t.comment(`${counted} for ${delivered} frames delivered to 40 viewers`);
  t.ok(delivered >= 25 * 40, 'every viewer received every announcement');
  t.ok(sends <= delivered * 1.2, `${(sends / delivered).toFixed(2)} sends per delivered frame`);
});

/** Returns the reason to skip, or false. Needs a build, and strace with permission to attach. */
function cannotTrace(): string | false {
  if (builtProgram() === null) return 'the engine is not built';
  const tried = spawnSync('strace', ['-c', 'true'], { encoding: 'utf8' });
  return tried.status === 0 ? false : 'strace is missing or may not attach here';
}
