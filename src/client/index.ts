/**
 * The client SDK, for browsers and Node. In a browser without a bundler use the JSON variant (the
 * default): it needs no further package.
 *
 *     const client = connect({ url: 'ws://localhost:8080', show: 'demo', token });
 *     client.on('chat', ({ messages }) => ...);
 *     const outcome = await client.reserve({ sale: 'flash', lines: [{ sku: 'tee-m', qty: 1 }] });
 *     if (outcome.ok) ... else console.log(outcome.error.code);
 */
import { StampedeClient } from './client.ts';
import type { ClientOptions } from './contract.ts';

export { newKey, type StampedeClient } from './client.ts';
export { type ClockReading, ServerClock } from './clock.ts';
export type {
  ClientEvents,
  ClientOptions,
  ClientStats,
  CountdownReading,
  Durability,
  Reserved,
  Waiting,
} from './contract.ts';
export type { ClientErrorCode, ClientFailure, Outcome } from './failures.ts';
export type { LineState, SocketClass, SocketLike } from './line.ts';
export { type Announcement, type ChatMessage, type ShowModel, waitKey } from './model.ts';

/**
 * Connects to a show and stays connected until `close()` or a reason to stop. Throws TypeError on
 * options that can never work.
 */
export function connect(options: ClientOptions): StampedeClient {
  return new StampedeClient(options);
}
