import { operationsOf, type Resource } from '../http/resource.ts';
import { unwrap } from '../http/routing.ts';
import { AudienceView, ChatList, ChatParams, MuteBody, MuteList, MuteParams, MuteView, Nothing } from './schemas.ts';

const { operation, showOperation } = operationsOf('moderation');

/** Chat and audience of a show. No route lists viewers: only authors are named. */
export const moderation: Resource = {
  tags: [{ name: 'moderation', description: 'The chat of a show, muted users, and the size of the audience' }],
  schemas: [],
  register(app, { store }) {
    app.get(
      '/shows/:show/audience',
      showOperation({ summary: 'Count the viewers', response: { 200: AudienceView } }),
      async (request) => unwrap(await store.viewerNumbers(request.params.show)),
    );
    app.get(
      '/shows/:show/chat',
      showOperation({
        summary: 'List recent chat with its authors',
        description: 'What all viewers were shown, without removed messages.',
        response: { 200: ChatList },
      }),
      async (request) => ({ messages: unwrap(await store.recentChat(request.params.show)) }),
    );
    app.delete(
      '/shows/:show/chat/:message',
      operation({
        summary: 'Remove a chat message',
        description: 'Removes it from all screens and from the history. Repeating it changes nothing.',
        params: ChatParams,
        response: { 204: Nothing },
        errors: ['not_found'],
      }),
      async (request, reply) => {
        unwrap(await store.removeChat(request.params.show, [Number(request.params.message)]));
        reply.code(204);
        return null;
      },
    );
    app.get(
      '/shows/:show/mutes',
      showOperation({ summary: 'List muted users', response: { 200: MuteList } }),
      async (request) => ({ mutes: unwrap(await store.mutes(request.params.show)) }),
    );
    app.put(
      '/shows/:show/mutes/:user',
      operation({
        summary: 'Mute a user for a time',
        description:
          'Their chat is refused with `muted` on all connections until then. Muting a muted user replaces the end.',
        params: MuteParams,
        body: MuteBody,
        response: { 200: MuteView },
        errors: ['limit_reached'],
      }),
      async (request) => unwrap(await store.mute(request.params.show, request.params.user, request.body.forMs)),
    );
    app.delete(
      '/shows/:show/mutes/:user',
      operation({
        summary: 'Unmute a user',
        description: 'A user who is not muted is no error.',
        params: MuteParams,
        response: { 204: Nothing },
      }),
      async (request, reply) => {
        unwrap(await store.unmute(request.params.show, request.params.user));
        reply.code(204);
        return null;
      },
    );
  },
};
