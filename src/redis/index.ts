export { connect } from './connection.ts';
export { connectStore, type ConnectedStore, type StoreOptions } from './store.ts';
export { runningEmbeddedRedis, startEmbeddedRedis, type EmbeddedRedis } from './embedded.ts';
