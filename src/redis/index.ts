export { createClient, type RedisClient } from './client.ts';
export { type EmbeddedRedis, runningEmbeddedRedis, startEmbeddedRedis } from './embedded.ts';
export { type ConnectedStore, connectStore, type StoreOptions } from './store.ts';
