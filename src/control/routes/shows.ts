import { failure, StampedeError } from '../../protocol/codes.ts';
import type { ControlDeps } from '../deps.ts';
import { type Commands, IdempotencyHeaders } from '../plugins/idempotency.ts';
import { type App, actorOf, unwrap } from '../routing.ts';
import { EmptyBody, ShowParams } from '../schemas/fields.ts';
import { problems } from '../schemas/problem.ts';
import { Announced, AnnouncementBody, NewShow, PinBody, Show, ShowChange, ShowList } from '../schemas/shows.ts';

const tags = ['shows'];

export function registerShows(app: App, { store }: ControlDeps, commands: Commands): void {
  app.post(
    '/shows',
    {
      schema: {
        tags,
        headers: IdempotencyHeaders,
        summary: 'Plan a show',
        description: 'The same id with the same body answers again; without an id the engine makes one up, the same for the same `Idempotency-Key`.',
        body: NewShow,
        response: { 201: Show, ...problems(['already_exists', 'idempotency_conflict']) },
      },
    },
    async (request, reply) => {
      const named = request.body.id === undefined ? commands.nameFor(request, 'show') : null;
      const made = await store.createShow({ ...request.body, ...(named === null ? {} : { id: named }) }, actorOf(request));
      if (named !== null && !made.ok && made.error.code === 'already_exists') throw new StampedeError(failure('idempotency_conflict'));
      const show = unwrap(made);
      reply.code(201).header('location', `/v1/shows/${show.id}`);
      return show;
    },
  );
  app.get('/shows', { schema: { tags, summary: 'Shows, newest first', response: { 200: ShowList, ...problems([], { bodiless: true }) } } }, async () => ({
    shows: unwrap(await store.listShows()),
  }));
  app.get(
    '/shows/:show',
    { schema: { tags, summary: 'One show', params: ShowParams, response: { 200: Show, ...problems(['show_not_found'], { bodiless: true }) } } },
    async (request) => unwrap(await store.getShow(request.params.show)),
  );
  app.patch(
    '/shows/:show',
    {
      schema: { tags, summary: 'Change a show', params: ShowParams, body: ShowChange, response: { 200: Show, ...problems(['show_not_found', 'overloaded']) } },
    },
    async (request) => unwrap(await store.updateShow(request.params.show, request.body, actorOf(request))),
  );
  app.post(
    '/shows/:show/start',
    {
      schema: {
        tags,
        summary: 'Go live',
        description: 'Starting a live show changes nothing.',
        params: ShowParams,
        body: EmptyBody,
        response: { 200: Show, ...problems(['show_not_found', 'illegal_move', 'overloaded']) },
      },
    },
    async (request) => unwrap(await store.startShow(request.params.show, actorOf(request))),
  );
  app.post(
    '/shows/:show/end',
    {
      schema: {
        tags,
        summary: 'End a show and its open sales',
        description: 'Holds may still be confirmed until they lapse. Ending an ended show changes nothing.',
        params: ShowParams,
        body: EmptyBody,
        response: { 200: Show, ...problems(['show_not_found', 'overloaded']) },
      },
    },
    async (request) => unwrap(await store.endShow(request.params.show, actorOf(request))),
  );
  app.post(
    '/shows/:show/pin',
    {
      schema: {
        tags: ['products'],
        summary: 'Put a product on stage',
        params: ShowParams,
        body: PinBody,
        response: { 200: Show, ...problems(['show_not_found', 'product_not_found', 'overloaded']) },
      },
    },
    async (request) => unwrap(await store.pinProduct(request.params.show, request.body.product, actorOf(request))),
  );
  app.post(
    '/shows/:show/announcements',
    {
      schema: {
        tags,
        headers: IdempotencyHeaders,
        summary: 'Tell every viewer something',
        params: ShowParams,
        body: AnnouncementBody,
        response: { 201: Announced, ...problems(['show_not_found', 'idempotency_conflict', 'idempotency_in_progress']) },
      },
    },
    async (request, reply) => {
      const { show } = request.params;
      const announced = unwrap(await commands.run(request, show, ({ key, actor }) => store.announce(show, request.body.text, actor, key)));
      reply.code(201);
      return announced;
    },
  );
}
