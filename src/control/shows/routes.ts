import { hash } from 'node:crypto';
import { failure, StampedeError } from '../../protocol/codes.ts';
import type { ControlDeps } from '../deps.ts';
import { EmptyBody, ShowParams } from '../http/fields.ts';
import { commandOf } from '../http/idempotency.ts';
import { problems } from '../http/problem-schema.ts';
import { type App, actorOf, unwrap } from '../http/routing.ts';
import { PinBody } from '../products/schemas.ts';
import { Announced, AnnouncementBody, NewShow, Show, ShowChange, ShowList } from './schemas.ts';

const tags = ['shows'];

export function registerShows(app: App, { store }: ControlDeps): void {
  app.post(
    '/shows',
    {
      schema: {
        tags,
        summary: 'Plan a show',
        description:
          'The same id with the same body answers again; without an id the engine makes one up, the same for the same `Idempotency-Key`.',
        body: NewShow,
        response: { 201: Show, ...problems(['already_exists']) },
      },
    },
    async (request, reply) => {
      const { key, actor } = commandOf(request);
      // Named after the key: a repeat finds its show even where a crash kept the first answer from
      // being kept.
      const id = request.body.id ?? `show-${hash('sha256', `${actor}\0${key}`, 'hex').slice(0, 20)}`;
      const made = await store.createShow({ ...request.body, id }, actor);
      const isTaken = !made.ok && made.error.code === 'already_exists';
      if (isTaken && request.body.id === undefined) throw new StampedeError(failure('idempotency_conflict'));
      const show = unwrap(made);
      reply.code(201).header('location', `/v1/shows/${show.id}`);
      return show;
    },
  );
  app.get(
    '/shows',
    {
      schema: {
        tags,
        summary: 'Shows, newest first',
        response: { 200: ShowList, ...problems([], { bodiless: true }) },
      },
    },
    async () => ({
      shows: unwrap(await store.listShows()),
    }),
  );
  app.get(
    '/shows/:show',
    {
      schema: {
        tags,
        summary: 'One show',
        params: ShowParams,
        response: { 200: Show, ...problems(['show_not_found'], { bodiless: true }) },
      },
    },
    async (request) => unwrap(await store.getShow(request.params.show)),
  );
  app.patch(
    '/shows/:show',
    {
      schema: {
        tags,
        summary: 'Change a show',
        params: ShowParams,
        body: ShowChange,
        response: { 200: Show, ...problems(['show_not_found', 'overloaded']) },
      },
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
      config: { keyed: 'script' },
      schema: {
        tags,
        summary: 'Tell every viewer something',
        params: ShowParams,
        body: AnnouncementBody,
        response: { 201: Announced, ...problems(['show_not_found']) },
      },
    },
    async (request, reply) => {
      const { show } = request.params;
      const command = commandOf(request);
      const announced = unwrap(await store.announce(show, request.body.text, command.actor, command));
      reply.code(201);
      return announced;
    },
  );
}
