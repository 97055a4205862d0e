/** Emits what a message has changed in the model. */
import type { Emitter } from './emitter.ts';
import type { Model, ModelChanges } from './model.ts';
import type { ClientEvents } from './types.ts';

/** `before`: the position until then, null without a show. `history`: its chat may be older. */
export function emitChanges(
  emitter: Emitter<ClientEvents>,
  model: Model,
  before: Pick<Model, 'epoch' | 'offset'> | null,
  { snapshot, events, chat }: ModelChanges,
  history: boolean,
): void {
  if (snapshot) {
    emitter.emit('snapshot', model);
    const { epoch, offset: to } = model;
    if (before !== null && (before.offset !== to || before.epoch !== epoch))
      emitter.emit('gap', { from: before.offset, to });
  }
  for (const event of events) emitter.emit('event', event);
  if (chat.length > 0) emitter.emit('chat', { messages: chat, history });
}
