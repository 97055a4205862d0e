/** A show of seconds: one sale, a few viewers on real sockets who chat, buy, pay, release, wait. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { connect, type StampedeClient } from '../../src/client/index.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import type { BackOffice } from './back-office.ts';

export interface ShortShowOptions {
  readonly office: BackOffice;
  readonly store: ConnectedStore;
  readonly gatewayUrl: string;
  readonly token: (show: string, user: string) => string;
  readonly retentionMs: number;
}

export const SALE = 'flash';
const SKU = 'ONE';
const UNITS = 3;
const PRICE = 1_500;
/** The moment at which a job closes the sale is over soon, too. */
const SALE_MS = 4_000;
const WELCOME_MS_MAX = 30_000;
const OFFER_MS_MAX = 5_000;
const POLL_MS = 10;

async function welcomed(client: StampedeClient): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('a viewer got no welcome')), WELCOME_MS_MAX);
    client.on('welcome', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Resolves with the reservation of the released unit, which is offered to the viewer who waits. */
async function offerOf({ model }: StampedeClient): Promise<string | undefined> {
  for (let waitedMs = 0; waitedMs < OFFER_MS_MAX; waitedMs += POLL_MS) {
    const held = [...model.reservations.values()].find(({ state }) => state === 'held');
    if (held !== undefined) return held.id;
    await sleep(POLL_MS);
  }
  return undefined;
}

function mustBe<T extends { readonly ok: boolean }>(outcome: T, what: string): T {
  if (!outcome.ok) throw new Error(`${what}: ${JSON.stringify(outcome)}`);
  return outcome;
}

/** Plans, plays and ends a show. Returns the number of its orders. */
export async function playShortShow(options: ShortShowOptions, show: string): Promise<number> {
  const { office, store, gatewayUrl, token, retentionMs } = options;
  await office.createShow({ id: show, title: `Short ${show}`, brands: [{ id: 'b', name: 'Brand' }], retentionMs });
  await office.putProduct(show, { id: 'p', brand: 'b', title: 'Product', skus: [{ sku: SKU }] });
  await office.startShow(show);
  const skus = [{ sku: SKU, product: 'p', price: PRICE, quantity: UNITS }];
  const window = { opensInMs: 0, durationMs: SALE_MS, holdMs: 15_000, perBuyer: 1 };
  await office.createSale(show, { id: SALE, title: 'Flash', currency: 'EUR', skus, ...window }, 'create');
  const users = ['ann', 'bob', 'cyd', 'dan', 'eve'].map((name) => `${name}-${show}`);
  const clients = users.map((user) => connect({ url: gatewayUrl, show, token: token(show, user), WebSocket }));
  try {
    await Promise.all(clients.map(welcomed));
    const said = await Promise.all(clients.map((client, i) => client.chat(`hello from ${users[i]}`)));
    for (const client of clients) client.heart(3);
    const [first] = said;
    if (first?.ok) mustBe(await store.removeChat(show, [first.value.chat]), 'remove');
    mustBe(await store.mute(show, users[4] as string, 60_000), 'mute');
    const lines = [{ sku: SKU, qty: 1 }];
    const held = await Promise.all(clients.slice(0, 4).map((client) => client.reserve({ sale: SALE, lines })));
    const waiting = clients[held.findIndex(({ ok }) => !ok)];
    if (waiting !== undefined) await waiting.joinWaitlist({ sale: SALE, sku: SKU });
    const holds = held.flatMap((outcome) => (outcome.ok ? [outcome.value.reservation] : []));
    let orders = 0;
    for (const [i, { id, amount, user }] of holds.entries()) {
      if (i === holds.length - 1) await office.release(show, id, `release-${id}`);
      else {
        await office.confirm(show, id, { orderRef: `order-${user}`, amount }, `confirm-${id}`);
        orders += 1;
      }
    }
    // An open hold would keep the show from its archive until its deadline.
    const offered = waiting && (await offerOf(waiting));
    if (offered !== undefined) await waiting?.release(offered);
    const verified = await store.verify(show);
    if (!verified.ok || verified.value.violations.length > 0) throw new Error(`books: ${JSON.stringify(verified)}`);
    return orders;
  } finally {
    for (const client of clients) client.close();
    await office.endShow(show);
  }
}
