import { hash } from 'node:crypto';
import { Type } from 'typebox';
import type { Result } from '../../protocol/codes.ts';
import type { ShowView } from '../../protocol/messages.ts';
import { summaryView } from '../archive/schemas.ts';
import { EmptyBody } from '../http/fields.ts';
import { commandOf } from '../http/idempotency.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { actorOf, refusal, unwrap } from '../http/routing.ts';
import { endingSales } from '../http/sale-listener.ts';
import {
  Announced,
  AnnouncementBody,
  NewShow,
  Show,
  ShowChange,
  ShowList,
  ShowListQuery,
  ShowSchema,
  ShowSizeSchema,
  withArchiveAt,
} from './schemas.ts';

const { operation, showOperation } = operationsOf('shows');

export const shows: Resource = {
  tags: [{ name: 'shows', description: 'Live events' }],
  schemas: [ShowSchema],
  register(app, deps) {
    const { store, archives } = deps;
    const shown = async (show: Result<ShowView>) => withArchiveAt(archives, unwrap(show));
    app.post(
      '/shows',
      operation({
        summary: 'Plan a show',
        description:
          'The same id with the same body returns the existing show. Without an id the engine derives one from the ' +
          '`Idempotency-Key`. `archive_conflict`: `details.folder` in ARCHIVE_DIR has the place of its archive.',
        body: NewShow,
        response: { 201: Show },
        errors: ['already_exists', 'archive_conflict'],
      }),
      async (request, reply) => {
        const { key, actor } = commandOf(request);
        // Derived from the key: a repeat finds its show even if a crash lost the recorded response.
        const id = request.body.id ?? `show-${hash('sha256', `${actor}\0${key}`, 'hex').slice(0, 20)}`;
        // It would be noticed when the show is archived.
        unwrap(await archives.checkFree(id));
        const created = await store.createShow({ ...request.body, id }, actor);
        const isTaken = !created.ok && created.error.code === 'already_exists';
        if (isTaken && request.body.id === undefined) throw refusal('idempotency_conflict');
        if (!created.ok && created.error.code === 'show_archived')
          throw refusal('show_archived', `The id ${id} belongs to an archived show. Use another one.`);
        const show = await shown(created);
        reply.code(201).header('location', `shows/${show.id}`);
        return show;
      },
    );
    app.get(
      '/shows',
      operation({
        summary: 'List shows, newest first, archived ones included',
        description: '`next` is null on the last page.',
        querystring: ShowListQuery,
        response: { 200: ShowList },
      }),
      async ({ query: { limit, after } }) => {
        const page = {
          ...(limit === undefined ? {} : { limit: Number(limit) }),
          ...(after === undefined ? {} : { after }),
        };
        const { shows, next } = unwrap(await store.listShows(page));
        const listed = shows.map(({ archive, ...show }) =>
          withArchiveAt(archives, { ...show, ...(archive && { archive: summaryView(archive) }) }),
        );
        return { shows: await Promise.all(listed), next };
      },
    );
    app.get('/shows/:show', showOperation({ summary: 'Get a show', response: { 200: Show } }), async (request) =>
      shown(await store.getShow(request.params.show)),
    );
    app.get(
      '/shows/:show/size',
      showOperation({
        summary: 'Get the memory that a show takes in Redis, and the size of its archive',
        description:
          'Keys with more than 1,000 elements are estimated from a sample, usually within a few percent. Results ' +
          'that are kept for a repeated `Idempotency-Key` for a day are not counted. An archived show keeps its keys ' +
          'for an hour, or as long as its retention if that is shorter (`expiring`), and its summary for good.',
        response: { 200: ShowSizeSchema },
      }),
      async ({ params: { show } }) => ({
        ...unwrap(await store.sizeOf(show)),
        ...(await archives.filesOf(show)),
      }),
    );
    app.patch(
      '/shows/:show',
      showOperation({ summary: 'Change a show', body: ShowChange, response: { 200: Show }, errors: ['overloaded'] }),
      async (request) => shown(await store.updateShow(request.params.show, request.body, actorOf(request))),
    );
    app.post(
      '/shows/:show/start',
      showOperation({
        summary: 'Go live',
        description: 'Starting a live show changes nothing.',
        body: EmptyBody,
        response: { 200: Show },
        errors: ['illegal_move', 'overloaded'],
      }),
      async (request) => shown(await store.startShow(request.params.show, actorOf(request))),
    );
    app.post(
      '/shows/:show/end',
      showOperation({
        summary: 'End a show and its open sales',
        description: 'Holds may still be confirmed until they expire. Ending an ended show changes nothing.',
        body: EmptyBody,
        response: { 200: Show },
        errors: ['overloaded'],
      }),
      async (request) => {
        const { show } = request.params;
        return endingSales(deps, request, show, async () => shown(await store.endShow(show, actorOf(request))));
      },
    );
    app.post(
      '/shows/:show/announcements',
      showOperation({
        summary: 'Announce a text to all viewers',
        description: 'It replaces the announcement before. Viewers who join before it ends see it, too.',
        keyed: 'script',
        body: AnnouncementBody,
        response: { 201: Announced },
      }),
      async (request, reply) => {
        const command = commandOf(request);
        reply.code(201);
        const { text, durationMs } = request.body;
        return unwrap(await store.announce(request.params.show, text, command.actor, command, durationMs));
      },
    );
    app.delete(
      '/shows/:show/announcements',
      showOperation({
        summary: 'End the announcement before its time',
        description: 'Changes nothing for viewers if there is none.',
        response: { 204: Type.Null() },
        errors: ['unsupported_media_type', 'frame_too_large'],
      }),
      async (request, reply) => {
        unwrap(await store.clearAnnouncement(request.params.show, actorOf(request)));
        reply.code(204);
        return null;
      },
    );
  },
};
