import type { RelayMessage } from '../../src/domain/show-log.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import { unwrap } from './store-fixture.ts';

/** Subscribes to a show and collects the messages. */
export async function listen(store: ConnectedStore, show: string) {
  const received: RelayMessage[] = [];
  const onMessage = (message: RelayMessage) => void received.push(message);
  return { received, ...unwrap(await store.subscribe(show, { onMessage, onResync() {} })) };
}
