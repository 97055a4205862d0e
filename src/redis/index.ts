export { connectJobs, createClient, type RedisClient } from './client.ts';
export { type CheckupOptions, examineRedis } from './doctor/checkup.ts';
export { EmbeddedRedis, openEmbeddedRedis } from './embedded.ts';
export type { Recovered } from './recovery.ts';
export { type ConnectedStore, connectStore, createStore, type StoreOptions } from './store.ts';
