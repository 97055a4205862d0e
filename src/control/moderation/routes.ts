/**
 * The chat of a show as its hosts handle it, and the numbers of its audience. Nobody lists members:
 * only who wrote is named.
 */
import { Type } from 'typebox';
import type { ControlDeps } from '../deps.ts';
import { ChatParams, ShowParams, UserParams } from '../http/fields.ts';
import { problems } from '../http/problem-schema.ts';
import { type App, unwrap } from '../http/routing.ts';
import { AudienceView, ChatList, MuteBody, MuteList, MuteView } from './schemas.ts';

const tags = ['moderation'];
const Nothing = Type.Null({ description: 'Done' });

export function registerModeration(app: App, { store }: ControlDeps): void {
  app.get(
    '/shows/:show/audience',
    {
      schema: {
        tags,
        summary: 'How many are there',
        params: ShowParams,
        response: { 200: AudienceView, ...problems(['show_not_found'], { bodiless: true }) },
      },
    },
    async (request) => unwrap(await store.viewerNumbers(request.params.show)),
  );
  app.get(
    '/shows/:show/chat',
    {
      schema: {
        tags,
        summary: 'Recent chat with its authors',
        description: 'What was shown to everybody and not taken off since.',
        params: ShowParams,
        response: { 200: ChatList, ...problems(['show_not_found'], { bodiless: true }) },
      },
    },
    async (request) => ({ messages: unwrap(await store.recentChat(request.params.show)) }),
  );
  app.delete(
    '/shows/:show/chat/:message',
    {
      schema: {
        tags,
        summary: 'Take a chat message off',
        description: 'Off every screen, and out of the history for good. Repeating it changes nothing.',
        params: ChatParams,
        response: { 204: Nothing, ...problems(['show_not_found', 'not_found'], { bodiless: true }) },
      },
    },
    async (request, reply) => {
      unwrap(await store.removeChat(request.params.show, [Number(request.params.message)]));
      reply.code(204);
      return null;
    },
  );
  app.get(
    '/shows/:show/mutes',
    {
      schema: {
        tags,
        summary: 'Who may not chat right now',
        params: ShowParams,
        response: { 200: MuteList, ...problems(['show_not_found'], { bodiless: true }) },
      },
    },
    async (request) => ({ mutes: unwrap(await store.mutes(request.params.show)) }),
  );
  app.put(
    '/shows/:show/mutes/:user',
    {
      schema: {
        tags,
        summary: 'Mute a user for a time',
        description:
          'Their chat is refused with `muted` until then, on all their connections. A mute of somebody muted replaces the end.',
        params: UserParams,
        body: MuteBody,
        response: { 200: MuteView, ...problems(['show_not_found', 'limit_reached']) },
      },
    },
    async (request) => unwrap(await store.mute(request.params.show, request.params.user, request.body.forMs)),
  );
  app.delete(
    '/shows/:show/mutes/:user',
    {
      schema: {
        tags,
        summary: 'Let a user chat again',
        description: 'Somebody who may chat anyway is no error.',
        params: UserParams,
        response: { 204: Nothing, ...problems(['show_not_found'], { bodiless: true }) },
      },
    },
    async (request, reply) => {
      unwrap(await store.unmute(request.params.show, request.params.user));
      reply.code(204);
      return null;
    },
  );
}
