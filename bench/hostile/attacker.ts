/**
 * One hostile buyer, a process started by `hostile-buyer.ts`: hundreds of sockets with one token
 * send every kind of message as fast as the rate says, and come back when they are closed.
 */
import { connect, type Socket } from 'node:net';
import { binaryFrame, textFrame } from '../generator/websocket.ts';
import type { Attack, AttackCounts } from './hostile-buyer.ts';

const TICK_MS = 20;
const RECONNECT_MS = 1_000;
/** One socket in ten sends malformed frames, and is closed for it. */
const MALFORMED_EVERY = 10;
const UNKNOWN_SHOWS_PER_TICK = 1;

const json = (message: object): Buffer => textFrame(JSON.stringify(message));
/** A frame with these first bytes, and without a payload. */
const bare = (...head: number[]): Buffer => Buffer.from([...head, 0, 0, 0, 0]);
const INVISIBLE = '\u200b\u2800\u3164\u{e0041}'.repeat(40);
const STACKED = `a${'\u0301'.repeat(450)}`;

type Make = (n: number, attack: Attack) => Buffer;
const VALID: readonly Make[] = [
  (n) => json({ t: 'chat', id: n, text: `hello ${n} ${'x'.repeat(400)}` }),
  (n) => json({ t: 'chat', id: n, text: INVISIBLE }),
  (n) => json({ t: 'chat', id: n, text: STACKED }),
  (n) => json({ t: 'react', id: n, n: 10 }),
  (n, { sale, sku }) => json({ t: 'reserve', id: n, key: `k${n}`, sale, lines: [{ sku, qty: 1 }] }),
  (n, { sku }) => json({ t: 'reserve', id: n, key: `u${n}`, sale: `none-${n}`, lines: [{ sku, qty: 1 }] }),
  (n, { sale }) => json({ t: 'reserve', id: n, key: `s${n}`, sale, lines: [{ sku: `none-${n}`, qty: 1 }] }),
  (n, { sale, sku }) => json({ t: 'waitlist', id: n, key: `w${n}`, op: 'join', sale, sku, qty: 1 }),
  (n, { sale, sku }) => json({ t: 'waitlist', id: n, key: `l${n}`, op: 'leave', sale, sku }),
  (n) => json({ t: 'release', id: n, key: `r${n}`, reservation: `r${n}` }),
  (n) => json({ t: 'resume', id: n, epoch: 'another', offset: 0 }),
  (n) => json({ t: 'page', id: n, after: `p${n}` }),
  (n) => json({ t: 'sync', id: n, at: n }),
];
const MALFORMED: readonly Make[] = [
  () => textFrame('{"t":'),
  () => textFrame('x'.repeat(17_000)),
  () => binaryFrame(Buffer.alloc(200, 0xc1)),
  (n) => json({ t: 'nothing', id: n }),
  () => bare(0x89, 0x80),
  () => Buffer.concat([bare(0x01, 0x80), bare(0x00, 0x80), bare(0x80, 0x80)]),
  () => Buffer.from([0x81, 0x02, 0x7b, 0x7d]),
];

const counts: AttackCounts = { frames: 0, upgrades: 0, bytesReceived: 0, cpuSeconds: 0 };
const sockets = new Set<Socket>();
let timers: NodeJS.Timeout[] = [];

function open(
  { host, port, token }: Attack,
  show: string,
  use?: (socket: Socket) => void,
  onClosed?: () => void,
): void {
  const socket = connect({ host, port, noDelay: true });
  counts.upgrades += 1;
  sockets.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => {
    sockets.delete(socket);
    onClosed?.();
  });
  socket.on('data', ({ length }) => {
    counts.bytesReceived += length;
    // Unknown shows are refused; their sockets serve no purpose.
    if (use === undefined) socket.destroy();
  });
  const key = 'Sec-WebSocket-Key: aG9zdGlsZS1idXllci0wMA==\r\nSec-WebSocket-Version: 13';
  const head = `GET /v1/shows/${show} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${key}`;
  const protocols = use === undefined ? 'stampede.v1.json' : `stampede.v1.json, token.${token}`;
  socket.write(`${head}\r\nSec-WebSocket-Protocol: ${protocols}\r\n\r\n`);
  use?.(socket);
}

function start(attack: Attack): void {
  const slots: Array<Socket | null> = Array.from({ length: attack.sockets }, () => null);
  const openSlot = (slot: number): void =>
    open(
      attack,
      attack.show,
      (socket) => {
        slots[slot] = socket;
      },
      () => {
        slots[slot] = null;
        if (timers.length > 0) timers.push(setTimeout(() => openSlot(slot), RECONNECT_MS));
      },
    );
  let [next, due, turn] = [0, 0, 0];
  /** All messages go to the sockets that are open. */
  const nextOpen = (): number => {
    for (let tries = 0; tries < slots.length; tries += 1) {
      turn = (turn + 1) % slots.length;
      if (slots[turn]) break;
    }
    return turn;
  };
  const send = (): void => {
    for (due += (attack.framesPerSecond * TICK_MS) / 1000; due >= 1; due -= 1) {
      next += 1;
      const slot = nextOpen();
      const kinds = slot % MALFORMED_EVERY === 0 ? MALFORMED : VALID;
      const frame = kinds[next % kinds.length]?.(next, attack);
      const socket = slots[slot];
      if (!socket || frame === undefined || socket.writableLength > 64 * 1024) continue;
      counts.frames += 1;
      socket.write(frame);
    }
    for (let i = 0; i < UNKNOWN_SHOWS_PER_TICK; i += 1) open(attack, `unknown-${next}-${i}`);
  };
  timers = [setInterval(send, TICK_MS)];
  for (let slot = 0; slot < slots.length; slot += 1) openSlot(slot);
}

function stop(): void {
  for (const timer of timers) clearTimeout(timer);
  timers = [];
  for (const socket of sockets) socket.destroy();
  const { user, system } = process.cpuUsage();
  process.send?.({ ...counts, cpuSeconds: (user + system) / 1e6 });
}

process.on('message', (attack: Attack | null) => (attack === null ? stop() : start(attack)));
process.on('disconnect', () => process.exit());
