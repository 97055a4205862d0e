export { connectStore, type ConnectedStore, type StoreOptions } from './store.ts';
export { startEmbeddedRedis, type EmbeddedRedis } from './embedded.ts';
