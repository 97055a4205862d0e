/** `sync`: two of the four moments of an NTP exchange; the client has the others. */
import { ok } from '../../protocol/codes.ts';
import type { Reply, RequestContext } from './context.ts';

export function onSync({ health, receivedAt }: RequestContext): Reply {
  return ok({ received: receivedAt, sent: health.now() });
}
