/** Counts the outcome of a request. `elapsedMs` is null for replies that needed no Redis call. */
import type { ClientMessage } from '../protocol/messages.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Reply } from './replies.ts';

export function recordReply(metrics: Metrics, type: ClientMessage['t'], reply: Reply, elapsedMs: number | null): void {
  if (type === 'chat') recordChat(metrics, reply);
  else if ((type === 'reserve' || type === 'release') && elapsedMs !== null) {
    metrics.decisions.add(outcomeOf(reply));
    metrics.decisionSeconds.observe(elapsedMs / 1000);
  }
}

function recordChat(metrics: Metrics, reply: Reply): void {
  if (!reply.ok) return metrics.chatRefused.add(reply.error.code);
  metrics.chatAccepted.inc();
  if (reply.value?.['leftOut'] === true) metrics.chatLeftOut.inc();
}

function outcomeOf(reply: Reply): string {
  if (!reply.ok) return reply.error.code;
  return reply.value?.['replayed'] === true ? 'replayed' : 'accepted';
}
