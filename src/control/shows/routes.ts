import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Actor } from '../../domain/command.ts';
import type { SaleBooks } from '../../domain/sale.ts';
import { LIMITS } from '../../limits.ts';
import { fail, ok, type Result } from '../../protocol/codes.ts';
import type { ShowView } from '../../protocol/messages.ts';
import { summaryView } from '../archive/schemas.ts';
import { EmptyBody } from '../http/fields.ts';
import { commandOf } from '../http/idempotency.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { actorOf, refusal, unwrap } from '../http/routing.ts';
import { endingSales, notifyListener } from '../http/sale-listener.ts';
import {
  Announced,
  AnnouncementBody,
  AnnouncementParams,
  CloneBody,
  Cloned,
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
    /** Plans a show with the id that is given, or one that follows from the key. */
    async function planned<T extends { show: ShowView; sales: SaleBooks[] }>(
      request: FastifyRequest,
      reply: FastifyReply,
      given: string | undefined,
      plan: (id: string, actor: Actor) => Promise<Result<T>>,
    ): Promise<T> {
      const { key, actor } = commandOf(request);
      // Derived from the key: a repeat finds its show even if a crash lost the recorded response.
      const id = given ?? `show-${hash('sha256', `${actor}\0${key}`, 'hex').slice(0, 20)}`;
      // It would be noticed when the show is archived.
      unwrap(await archives.checkFree(id));
      const done = await plan(id, actor);
      const isTaken = !done.ok && done.error.code === 'already_exists';
      if (isTaken && given === undefined) throw refusal('idempotency_conflict');
      const value = unwrap(done);
      for (const sale of value.sales) notifyListener(deps, request, id, sale);
      reply.code(201).header('location', `shows/${id}`);
      return value;
    }
    app.post(
      '/shows',
      {
        bodyLimit: LIMITS.httpImportBytesMax,
        ...operation({
          summary: 'Plan a show',
          description:
            'The same id with the same body returns the existing show. Without an id the engine derives one from the ' +
            '`Idempotency-Key`. `archive_conflict`: `details.folder` in ARCHIVE_DIR belongs to another show. ' +
            'With `products` and `sales`, all of the request is checked first; a mistake names its path, such as ' +
            '`/sales/2/skus/0/sku`. If the process stops before the last sale is planned, repeat the request with ' +
            'the same key: it adds what is missing.',
          body: NewShow,
          response: { 201: Show },
          errors: ['already_exists', 'archive_conflict', 'overloaded', 'show_ended'],
        }),
      },
      async (request, reply) => {
        const { id: given, products, sales, ...fields } = request.body;
        const hasContents = products !== undefined || sales !== undefined;
        const contents = { ...(products ? { products } : {}), ...(sales ? { sales } : {}) };
        const { show } = await planned(request, reply, given, async (id, actor) => {
          const created = hasContents
            ? await store.planShow({ ...fields, id }, contents, actor)
            : await store.createShow({ ...fields, id }, actor);
          if (!created.ok && created.error.code === 'show_archived')
            return fail('show_archived', `The id ${id} belongs to an archived show. Use another one.`);
          if (!created.ok) return created;
          return ok('show' in created.value ? created.value : { show: created.value, sales: [] });
        });
        return withArchiveAt(archives, show);
      },
    );
    app.post(
      '/shows/:show/clone',
      showOperation({
        summary: 'Plan a show as another one is',
        description:
          'Copies settings, products and sales, with their ids. It copies no orders, holds, chat, viewers or ' +
          'announcements. Sales become drafts with all units that were on sale, and windows keep their length. A ' +
          'planned, live or ended show can be cloned; an archived one cannot (`show_archived`), as Redis has its ' +
          'summary only. A show that is never started is a template. Without an id the engine derives one from the ' +
          '`Idempotency-Key`. A repeat completes what a crash left.',
        body: CloneBody,
        response: { 201: Cloned },
        errors: ['already_exists', 'archive_conflict', 'overloaded', 'show_ended'],
      }),
      async (request, reply) => {
        const { id: given, ...spec } = request.body;
        const cloned = await planned(request, reply, given, (id, actor) =>
          store.cloneShow(request.params.show, { ...spec, id }, actor),
        );
        const { show, contents, leftOut } = cloned;
        const [products, sales] = [contents.products.length, contents.sales.length];
        return { show: await withArchiveAt(archives, show), products, sales, leftOut };
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
          'for an hour, or as long as its retention if that is shorter, and about a minute more (`expiring`), and ' +
          'its summary for good.',
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
        const { text, ...ends } = request.body;
        return unwrap(await store.announce(request.params.show, text, command.actor, command, ends));
      },
    );
    app.delete(
      '/shows/:show/announcements',
      showOperation({
        summary: 'End the current announcement before its time',
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
    app.delete(
      '/shows/:show/announcements/:announcement',
      operation({
        summary: 'Withdraw an announcement',
        description: 'Another one, which may have replaced it meanwhile, stays (`not_found`).',
        params: AnnouncementParams,
        response: { 204: Type.Null() },
        errors: ['not_found', 'unsupported_media_type', 'frame_too_large'],
      }),
      async (request, reply) => {
        const { show, announcement } = request.params;
        unwrap(await store.clearAnnouncement(show, actorOf(request), Number(announcement)));
        reply.code(204);
        return null;
      },
    );
  },
};
