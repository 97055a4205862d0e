/** One hostile client on plain sockets for each budget (I9). Meanwhile another viewer is served. */
import { createSigner } from 'fast-jwt';
import t, { type Test } from 'tap';
import { binaryFrame, textFrame } from '../../bench/generator/websocket.ts';
import type { Connection } from '../../src/gateway/connection.ts';
import { GuestBytes } from '../../src/gateway/guest-bytes.ts';
import { LIMITS } from '../../src/limits.ts';
import { times } from '../support/store-fixture.ts';
import { flood, hasFlood } from './flood.ts';
import { SECRET, startWorld, until } from './harness.ts';
import { type RawClient, rawClient, rawViewer } from './raw-client.ts';

t.setTimeout(120_000);
const world = await startWorld(t);
const { redis, store, show, node } = world;
const admin = redis.client();
const sale = await world.openSale({ quantity: 100, perBuyer: 1 });
const honest = await world.join({ user: 'honest' });

/** Runs a test, then asks for a reply to the honest viewer. */
const test = (name: string, run: (t: Test) => Promise<void>) =>
  t.test(name, async (t) => {
    await run(t);
    t.equal((await honest.request({ t: 'sync', at: 0 })).t, 'ok', 'another viewer is served');
  });

const keyOf = async (name: string): Promise<string> => (await admin.keys(`*{${show}}:${name}`))[0] ?? 'none';
const bytesOf = async (name: string): Promise<number> =>
  Number((await admin.call('MEMORY', 'USAGE', await keyOf(name), 'SAMPLES', '0')) ?? 0);
/** A frame with a masking key of zero; `head` are its first bytes. */
const frame = (...head: number[]): Buffer => Buffer.from([...head, 0, 0, 0, 0]);

test('messages before the welcome: 32 wait, more are refused and end the connection (Q-10, Q-2.1)', async (t) => {
  const fresh = await world.addNode();
  await admin.call('CLIENT', 'PAUSE', '400');
  const eve = await rawClient(world, { node: fresh, user: 'early' });
  const message = textFrame(JSON.stringify({ t: 'sync', at: 0, id: 'x'.repeat(64), more: 'y'.repeat(16_000) }));
  for (let i = 0; i < 60; i += 1) eve.socket.write(message);
  await eve.closed();
  t.ok(eve.count('too_many_in_flight') <= LIMITS.badFramesPerConnectionMax + 1);
  t.ok(eve.received.length < 10_000);
});

test('resumes in a loop: the snapshots of a connection have a budget (R-8.1)', async (t) => {
  const eve = await rawViewer(world, { user: null });
  const before = eve.received.length;
  const startMs = performance.now();
  eve.send(...times(100, (id) => ({ t: 'resume', id, epoch: 'another', offset: 0 })));
  await eve.has('rate_limited', 20);
  const { bulkBurstBytes, bulkBytesPerSecond, resumeCostBytes } = LIMITS;
  const budget = bulkBurstBytes + ((performance.now() - startMs) * bulkBytesPerSecond) / 1000;
  t.ok(eve.count('"resumed":false') <= 1 + budget / resumeCostBytes, `${eve.count('"resumed":false')} snapshots`);
  t.ok(eve.received.length - before < 100_000, `${eve.received.length - before} bytes`);
});

test('R-8.3 guests who join and resume in circles share the bytes of their address; buyers do not', async (t) => {
  const strict = await world.addNode({ limits: { guestBytesPerSecond: 1 } });
  const at = { node: strict, user: null };
  const staying = [await rawViewer(world, at), await rawViewer(world, at)];
  const history = 'x'.repeat(250);
  const writers = await world.joinMany(25, (i) => ({ user: `talks-${i}`, node: strict }));
  await Promise.all(writers.flatMap((each) => times(2, () => each.say(history))));
  await until(() => staying.every((each) => each.count(history) === 50), 'a welcome is large');
  let [joins, bytes, refusedResumes, refusedJoins] = [0, 0, 0, 0];
  // After a refused join, the next one that is let in has nothing left for a resume.
  for (; (refusedJoins === 0 || refusedResumes === 0) && joins < 1_000; joins += 1) {
    const guest = await rawClient(world, at);
    if (guest.status === 101) {
      await guest.has('"t":"welcome"');
      guest.send({ t: 'resume', id: 1, epoch: 'another', offset: 0 });
      await until(() => guest.count('"resumed":false') + guest.count('rate_limited') > 0, 'a reply');
    } else refusedJoins += 1;
    refusedResumes += guest.count('The guests of this address asked for too much.');
    bytes += guest.received.length;
    if (guest.status === 429) t.match(guest.received, /"code":"rate_limited".*"retryAfterMs":\d/);
    guest.socket.destroy();
    await until(async () => (await strict.metric('connections')) === 27, 'it is gone');
  }
  t.ok(refusedJoins > 0 && refusedResumes > 0, `${joins} joins, ${bytes} bytes`);
  t.ok(bytes < 1_000_000, `${bytes} bytes`);
  t.equal((await world.join({ user: 'behind-it', node: strict })).received[0]?.t, 'welcome', 'a buyer is served');
});

test('R-8.4 a guest who looks for many shows is refused before the upgrade, others watch theirs', async (t) => {
  const fresh = await world.addNode();
  const staying = await rawViewer(world, { node: fresh, user: null });
  for (let i = 0; i < 60; i += 1) {
    await store.createShow({ id: `small-${i}`, title: 'Small', guests: true, brands: [] }, 'test');
    (await rawViewer(world, { node: fresh, user: null, show: `small-${i}` })).socket.destroy();
  }
  let lookedFor = 0;
  for (let status = 101; status !== 429 && lookedFor < 2 * LIMITS.guestLookupsBurst; lookedFor += 1) {
    const guest = await rawClient(world, { node: fresh, user: null, show: `missing-${lookedFor}` });
    status = guest.status;
    await guest.has(status === 429 ? '"code":"rate_limited"' : 'show_gone');
    guest.socket.destroy();
  }
  t.ok(lookedFor < 1.5 * LIMITS.guestLookupsBurst, `${lookedFor} shows`);
  t.ok(lookedFor > LIMITS.guestLookupsBurst, 'those that opened do not count');
  for (let i = 0; i < 5; i += 1) {
    const guest = await rawClient(world, { node: fresh, user: null });
    t.equal(guest.status, 101, 'a guest of a show that this node has');
    guest.socket.destroy();
  }
  t.notOk(staying.socket.destroyed);
});

t.test('R-8.3 the bytes of an address follow its guests: a venue comes back at once, circles do not', async (t) => {
  const KIB = 1024;
  let nowMs = 0;
  const guests = new GuestBytes({ nowMs: () => nowMs });
  const guestOf = (address: string) => ({ identity: { user: null }, source: { address } }) as Connection;
  const venue = guestOf('venue');
  const join = (guest: Connection, bytes: number): boolean => {
    if (guests.refuseJoin(guest.source.address) !== null) return false;
    guests.add(guest);
    guests.charge(guest, bytes);
    return true;
  };
  const storm = (bytes: number): number => times(10_000, () => join(venue, bytes)).filter(Boolean).length;
  const leave = (count: number) => times(count, () => guests.remove(venue));
  t.equal(storm(100 * KIB), 10_000, 'a node that never had them takes all');
  nowMs += 60_000;
  leave(10_000);
  nowMs += 3_000;
  t.equal(storm(64 * KIB), 10_000, 'and so does the one that had them');
  t.equal(guests.refuseResume(venue), null, 'and all may resume');
  leave(10_000);

  const circle = guestOf('circle');
  let sent = 0;
  times(100, () => join(circle, 64 * KIB));
  sent += 100 * 64 * KIB;
  for (const until = nowMs + 9_000; nowMs < until; nowMs += 10) {
    guests.remove(circle);
    const isIn = join(circle, 64 * KIB);
    if (isIn) sent += 64 * KIB;
    else guests.add(circle);
    if (guests.refuseResume(circle) !== null) continue;
    guests.charge(circle, 75 * KIB);
    sent += 75 * KIB;
  }
  t.ok(sent < 22 * KIB * KIB, `${Math.round(sent / KIB / KIB)} MiB in 9 s`);
  const fresh = guestOf('fresh');
  times(20, () => {
    t.ok(join(fresh, 64 * KIB), 'a person who loads the page again and again');
    guests.remove(fresh);
  });
  nowMs += 3_600_000;
  for (let i = 0; i < 10; i += 1) join(guestOf(`late-${i}`), 1);
  t.ok(guests.size <= 12, `${guests.size} addresses are remembered`);
});

test('refused reserves and waitlist requests leave little in Redis, from 20 sockets (L-1.5, I9)', async (t) => {
  const sockets = await Promise.all(times(20, () => rawViewer(world, { user: 'buyer' })));
  const before = await Promise.all(['ledger', 'idem', 'reservations', 'buyers'].map(bytesOf));
  for (const [n, eve] of sockets.entries()) {
    const keyed = (i: number) => ({ id: i, key: `${n}/${i}`, sale });
    eve.send(...times(20, (i) => ({ t: 'reserve', ...keyed(i), lines: [{ sku: `none-${n}-${i}`, qty: 1 }] })));
    eve.send(...times(20, (i) => ({ t: 'waitlist', ...keyed(i), op: 'join', sku: 'shirt-m', qty: 1 })));
  }
  await until(() => sockets.every((each) => each.count('"t":"error"') >= 40), 'all are refused', 15_000);
  const decided = sockets.reduce((sum, each) => sum + each.count('sku_not_found') + each.count('units_free'), 0);
  t.ok(decided > 0 && decided < 200, `Redis decided ${decided} of 800`);
  const after = await Promise.all(['ledger', 'idem', 'reservations', 'buyers'].map(bytesOf));
  const grown = after.reduce((sum, bytes, i) => sum + bytes - (before[i] ?? 0), 0);
  t.ok(grown < 40_000, `${grown} bytes`);
  for (const { socket } of sockets) socket.destroy();
});

test('an unknown show: 100 upgrades cost Redis as much as one (H-8.3)', async (t) => {
  const first = await rawClient(world, { show: 'nowhere', user: null });
  await first.closed();
  const before = await redis.commandsRun();
  const all = await Promise.all(times(100, () => rawClient(world, { show: 'nowhere', user: null })));
  for (const each of all) await each.closed();
  const commands = (await redis.commandsRun()) - before;
  t.ok(commands < 60, `${commands} commands, with the reports of the node`);
  t.ok(all.every((each) => each.count('"reason":"show_gone"') === 1));
});

test('100 different unknown shows cost Redis a command each, and no subscription (H-8.3)', async (t) => {
  const before = await redis.commandsRun();
  const all = await Promise.all(times(100, (i) => rawClient(world, { show: `nowhere-${i}`, user: null })));
  for (const each of all) await each.closed();
  const commands = (await redis.commandsRun()) - before;
  t.ok(commands >= 100 && commands < 160, `${commands} commands, with the reports of the node`);
  t.ok(all.every((each) => each.count('"reason":"show_gone"') === 1));
});

test('text that no reader sees is refused and not stored (C-3)', async (t) => {
  const eve = await rawViewer(world, { user: 'ghost' });
  const before = await admin.xlen(await keyOf('chat'));
  const texts = ['\u200b', '\u3164', '\u2800', '\u{e0041}\u{e007f}', ' \u00ad '];
  eve.send(...texts.map((text, id) => ({ t: 'chat', id, text: text.repeat(50) })));
  await eve.has('"t":"error"', texts.length);
  t.equal(eve.count('invalid_message'), texts.length);
  t.equal(await admin.xlen(await keyOf('chat')), before);
});

test('giant names and tokens are refused (H-3.3)', async (t) => {
  const sign = createSigner({ key: SECRET });
  const claims = { show, role: 'buyer', sub: 'giant', exp: Math.ceil(Date.now() / 1000) + 60 };
  const nameOf = (name: string) => rawClient(world, { token: sign({ ...claims, name }) });
  const long = await nameOf('x'.repeat(LIMITS.nameCharsMax + 1));
  const invisible = await nameOf('\u200b'.repeat(LIMITS.nameCharsMax));
  const huge = await nameOf('x'.repeat(LIMITS.handshakeTokenBytesMax));
  for (const each of [long, invisible, huge]) await each.closed();
  for (const each of [long, invisible, huge]) t.equal(each.count('"t":"welcome"'), 0);
  const stacked = await nameOf(`a${'\u0301'.repeat(LIMITS.nameCharsMax - 1)}`);
  await stacked.has('"t":"welcome"');
  const marks = stacked.count(Buffer.from('\u0301').toString('latin1'));
  t.ok(marks <= 5, `a letter keeps ${marks} marks`);
});

test('500 sockets of one user: 20 stay, few replace others, the rest is refused (H-9.1, H-9.4)', async (t) => {
  const all = await Promise.all(times(500, () => rawClient(world, { user: 'many' })));
  const isOpen = ({ isClosed, status }: RawClient): boolean => !isClosed && status === 101;
  await until(() => all.filter(isOpen).length <= LIMITS.connectionsPerUserMax, '20 stay', 15_000);
  const refused = all.filter(({ status }) => status === 429);
  t.ok(refused.length >= 500 - 2 * LIMITS.connectionsPerUserMax - 20, `${refused.length} are refused`);
  t.ok(refused.every(({ received }) => /"code":"rate_limited".*"retryAfterMs":\d/.test(received)));
  t.ok(all.some(isOpen));
  for (const { socket } of all) socket.destroy();
});

test('a client that does not read is demoted or closed, and others get all chat (B-1.1, B-3)', async (t) => {
  const eve = await rawViewer(world, { user: 'deaf' });
  const before = await node.metric('demotions_total');
  const closed = await node.metric('closes_total', '4001');
  eve.socket.pause();
  const isNoticed = async (): Promise<boolean> =>
    (await node.metric('demotions_total')) > before || (await node.metric('closes_total', '4001')) > closed;
  for (let round = 0; round < 150 && !(await isNoticed()); round += 1) {
    await flood(world, round);
    await until(() => hasFlood(honest, round), 'another viewer has the chat', 15_000);
  }
  t.ok(await isNoticed());
  eve.socket.destroy();
});

test('fragments: a message in many is one message, and too large together ends the connection (Q-1.3)', async (t) => {
  const eve = await rawViewer(world, { user: 'pieces' });
  const [first = 0, ...rest] = Buffer.from(JSON.stringify({ t: 'sync', id: 'whole', at: 0 }));
  eve.socket.write(Buffer.concat([frame(0x01, 0x81), Buffer.from([first])]));
  for (const byte of rest) eve.socket.write(Buffer.concat([frame(0x00, 0x81), Buffer.from([byte])]));
  eve.socket.write(frame(0x80, 0x80));
  await eve.has('"id":"whole"');
  const part = binaryFrame(Buffer.alloc(16_000, 0x20));
  for (let i = 0; i < 6; i += 1)
    eve.socket.write(Buffer.concat([Buffer.from([i === 0 ? 0x01 : 0x00]), part.subarray(1)]));
  await eve.closed();
  t.ok(eve.received.length < 20_000);
});

test('frames that break the WebSocket protocol end their connection at most', async (t) => {
  const broken = {
    unmasked: Buffer.from([0x81, 0x02, 0x7b, 0x7d]),
    'reserved bits': frame(0xf1, 0x80),
    'a reserved opcode': frame(0x83, 0x80),
    'a continuation of nothing': frame(0x80, 0x80),
    'a fragmented ping': frame(0x09, 0x80),
    'a large ping': Buffer.concat([Buffer.from([0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0]), Buffer.alloc(256)]),
    'a length of 2^63': Buffer.from([0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
    'bytes that are not UTF-8': Buffer.concat([frame(0x81, 0x82), Buffer.from([0xc3, 0x28])]),
  };
  for (const [what, bytes] of Object.entries(broken)) {
    const eve = await rawViewer(world, { user: null });
    const before = eve.received.length;
    eve.socket.write(Buffer.concat(times(20, () => bytes)));
    eve.socket.end();
    await eve.closed();
    t.ok(eve.received.length - before < 20_000, `${what}: ${eve.received.length - before} bytes`);
  }
});

test('pings are messages: a flood of them ends the connection (L-1.6)', async (t) => {
  const eve = await rawViewer(world, { user: 'pinger' });
  for (let i = 0; i < 40; i += 1) eve.socket.write(Buffer.concat(times(20, () => frame(0x89, 0x80))));
  await eve.closed();
  t.match(eve.received, /"code":4200,"reason":"bad_frames"/);
});

test('a flood of messages ends the connection; who does it again must wait to connect (L-1.6, H-9.4)', async (t) => {
  let refused = 0;
  for (let round = 0; round < 8; round += 1) {
    const eve = await rawClient(world, { user: 'flooder' });
    if (eve.status === 429) {
      refused += 1;
      continue;
    }
    await eve.has('"t":"welcome"');
    eve.send(...times(400, (id) => ({ t: 'sync', id, at: 0 })));
    await eve.closed();
    t.match(eve.received, /"code":4200,"reason":"bad_frames"/);
    t.ok(eve.count('"t":"ok"') <= 60, `${eve.count('"t":"ok"')} replies`);
  }
  t.ok(refused > 0, `${refused} of 8 upgrades are refused`);
  t.ok(store.trouble() === null);
});
