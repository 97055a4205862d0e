/** `sync`: two of the four times of an NTP exchange; the client has the others. */
import { ok } from '../../protocol/codes.ts';
import type { HandlerContext, Reply } from './context.ts';

export function onSync({ health }: HandlerContext, received: number): Reply {
  return ok({ received, sent: health.now() });
}
