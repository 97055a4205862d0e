/**
 * The client SDK for browsers and Node. Without a bundler use the JSON variant (the default): it
 * needs no other package.
 *
 *     const client = connect({ url: 'ws://localhost:8080', show: 'demo', token });
 *     client.on('chat', ({ messages }) => ...);
 *     const outcome = await client.reserve({ sale: 'flash', lines: [{ sku: 'tee-m', qty: 1 }] });
 *     if (outcome.ok) ... else console.log(outcome.error.code);
 */
import { StampedeClient } from './client.ts';
import type { ClientOptions } from './types.ts';

export { checkoutAddress } from '../protocol/checkout.ts';
export type { ErrorCode } from '../protocol/codes.ts';
export { formatMoney, minorUnitDigits } from '../protocol/currencies.ts';
export type {
  Announcement,
  Brand,
  Bye,
  ClientMessage,
  Countdown,
  EventType,
  Item,
  Product,
  ReservationState,
  ReservationView,
  Role,
  SaleSku,
  SaleState,
  SaleStateView,
  SaleView,
  ServerMessage,
  ShowEvent,
  ShowState,
  ShowView,
  ShowVisibility,
  Sku,
  StateView,
  Variant,
  WaitView,
  Welcome,
} from '../protocol/messages.ts';
export type { StampedeClient } from './client.ts';
export { type ClockReading, ServerClock } from './clock.ts';
export type { ClientCodec } from './codec.ts';
export type { ConnectionState, SocketClass, SocketLike } from './connection.ts';
export { newKey } from './keyed-requests.ts';
export { type ChatMessage, type ShowModel, waitKey } from './model.ts';
export type { ClientErrorCode, ClientFailure, Outcome } from './outcome.ts';
export type { TokenOption } from './token-source.ts';
export type * from './types.ts';

/**
 * Connects to a show, and reconnects until `close()` or a close code that forbids it. Throws a
 * TypeError for invalid options.
 */
export function connect(options: ClientOptions): StampedeClient {
  return new StampedeClient(options);
}
