/** What clients, hosts and auditors see of a show, to compare a copy with its original. */
import type { ConnectedStore } from '../../src/redis/index.ts';
import { unwrap } from './store-fixture.ts';

/** Without the epoch, which is new in a copy, and the viewers who are connected now. */
export async function everythingOf(store: ConnectedStore, show: string, users: readonly string[]) {
  const { snapshot, chat, ...room } = unwrap(await store.load(show));
  const { epoch, state, ...shown } = snapshot;
  const { viewers: _viewers, ...numbers } = state;
  return {
    room,
    shown,
    numbers,
    chat: chat.map(({ items, ...batch }) => ({ ...batch, items: Buffer.from(items).toString('hex') })),
    recent: unwrap(await store.recentChat(show)),
    events: unwrap(await store.eventsAfter(show, epoch, 0)),
    sales: unwrap(await store.listSales(show)),
    products: unwrap(await store.listProducts(show)),
    mine: unwrap(await store.holdingsOf(show, users)),
    books: unwrap(await store.verify(show)),
    listed: unwrap(await store.listShows()).shows.find(({ id }) => id === show),
  };
}
