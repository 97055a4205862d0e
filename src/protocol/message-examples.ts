/** One example of each message, for the AsyncAPI document. Tests send them through the codecs. */
import type { ClientMessage, ClientMessageType, ReservationView, ServerMessage, Welcome } from './messages.ts';

const AT = 1_795_399_320_496;
const CLOSES_AT = AT + 600_000;
const item = { sku: 'shirt-m', qty: 1 };

export const CLIENT_EXAMPLES: { readonly [T in ClientMessageType]: Extract<ClientMessage, { t: T }> } = {
  chat: { t: 'chat', id: 1, text: 'Is it warm?' },
  react: { t: 'react', n: 3 },
  reserve: { t: 'reserve', id: 2, key: 'c0ffee', sale: 'flash', lines: [item] },
  release: { t: 'release', id: 3, key: '7ea', reservation: 'r4Vb' },
  waitlist: { t: 'waitlist', id: 4, key: 'caca0', op: 'join', sale: 'flash', sku: 'shirt-m', qty: 1 },
  resume: { t: 'resume', id: 5, epoch: 'x7Qp2Zr1', offset: 12, chat: 42 },
  page: { t: 'page', id: 6, after: 's/flash' },
  refresh: { t: 'refresh', id: 7, token: 'eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl' },
  sync: { t: 'sync', id: 8, at: 5000 },
};

const reservation: ReservationView = {
  ...{ id: 'r4Vb', sale: 'flash', user: 'u-1', state: 'held', lines: [item] },
  ...{ amount: 1900, currency: 'EUR', createdAt: AT, heldUntil: AT + 120_000 },
};
const wait = { sale: 'flash', sku: 'shirt-m', qty: 1, place: 3, joinedAt: AT };
const units = { sku: 'shirt-m', product: 'shirt', price: 1900, left: 14 };
const sale = {
  ...{ id: 'flash', title: 'The drop', state: 'open' as const, opensAt: AT, closesAt: CLOSES_AT },
  ...{ holdMs: 120_000, perBuyer: 2, currency: 'EUR', skus: [units], rev: 31 },
};
const snapshot: Welcome['snapshot'] = {
  ...{ epoch: 'x7Qp2Zr1', offset: 12 },
  show: {
    ...{ id: 'friday', title: 'Friday show', state: 'live', startsAt: AT, guests: true },
    ...{ slowModeMs: 0, chatShownPerSecond: 0, visibility: 'public', videoUrl: 'https://cdn.example/friday.m3u8' },
    checkoutUrl: 'https://shop.example/pay?hold={reservation}&amount={amount}',
    ...{ brands: [{ id: 'acme', name: 'Acme' }], pinned: 'shirt', createdAt: AT },
  },
  products: [{ id: 'shirt', brand: 'acme', title: 'Shirt', skus: [{ sku: 'shirt-m', title: 'M' }] }],
  sales: [sale],
  state: { viewers: 812, peak: 1204, hearts: 9000, unique: 2310 },
  announcement: { text: 'Two per person', at: AT, until: AT + 60_000 },
};

export const SERVER_EXAMPLES: { readonly [T in ServerMessage['t']]: Extract<ServerMessage, { t: T }> } = {
  welcome: {
    ...{ t: 'welcome', v: 1, at: AT, node: 'n1', epoch: 'x7Qp2Zr1', offset: 12 },
    you: { user: 'u-1', name: 'Ada', role: 'buyer', expiresAt: AT + 3_600_000, reservations: [], waits: [wait] },
    limits: {
      ...{ frameBytes: 16_384, chatChars: 280, chatPerSecond: 3, requestsPerSecond: 20 },
      ...{ heartbeatMs: 25_000, idleMs: 60_000 },
    },
    ...{ snapshot, chat: [[41, AT, [[0, 0, 'ann', 'hello']]]] },
  },
  frame: {
    ...{ t: 'frame', at: AT, epoch: 'x7Qp2Zr1' },
    events: [{ offset: 13, at: AT, type: 'product.pinned', data: { product: 'shirt' } }],
    state: {
      viewers: 813,
      sales: [{ id: 'flash', rev: 32, state: 'open', opensAt: AT, closesAt: CLOSES_AT, left: { 'shirt-m': 13 } }],
      countdowns: [{ sale: 'flash', to: 'close', at: CLOSES_AT, remainingMs: 600_000 }],
    },
    chat: [[42, AT, [[0, 1, 'bo', 'hi!', 2]]]],
    missed: 3,
  },
  ok: { t: 'ok', id: 2, at: AT, data: { reservation, durability: 'everysec', epoch: 'x7Qp2Zr1' } },
  error: {
    ...{ t: 'error', id: 2, at: AT, code: 'sale_not_open', message: 'The sale has not opened yet.' },
    ...{ retryAfterMs: 812, details: { opensAt: AT + 812 } },
  },
  you: { t: 'you', at: AT, reservation },
  holdings: { t: 'holdings', at: AT, reservations: [reservation], waits: [wait] },
  mute: { t: 'mute', at: AT, until: AT + 300_000 },
  waits: { t: 'waits', at: AT, waits: [{ ...wait, place: 1 }] },
  bye: { t: 'bye', at: AT, code: 4000, reason: 'draining', message: 'The node stops.', reconnectAfterMs: 1200 },
};
