/** How people get in: tokens for viewers, and what a page must know to connect. */
import { randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { checkViewer } from '../../domain/viewer.ts';
import { LIMITS } from '../../limits.ts';
import { failure, StampedeError } from '../../protocol/codes.ts';
import type { Role } from '../../protocol/messages.ts';
import type { ControlDeps } from '../deps.ts';
import { ShowParams } from '../http/fields.ts';
import { problems } from '../http/problem-schema.ts';
import { type App, unwrap } from '../http/routing.ts';
import { NewDemoToken, NewToken, Token, Watch } from './schemas.ts';

const tags = ['access'];

export function registerAccess(app: App, deps: ControlDeps): void {
  const { store, options } = deps;
  app.post(
    '/shows/:show/tokens',
    {
      schema: {
        tags,
        summary: 'Mint a token for a viewer of the show',
        description: 'Your site asks for it on behalf of a person it knows; the page then connects with it.',
        params: ShowParams,
        body: NewToken,
        response: { 201: Token, ...problems(['show_not_found', 'forbidden']) },
      },
    },
    async (request, reply) => {
      const { user, name, role, ttlSeconds = LIMITS.tokenTtlSecondsDefault } = request.body;
      const show = unwrap(await store.getShow(request.params.show));
      reply.code(201);
      return mint(deps, { show: show.id, user, name, role }, ttlSeconds);
    },
  );
  app.get(
    '/shows/:show/watch',
    {
      config: { open: true },
      schema: {
        tags,
        summary: 'What a viewer page needs to connect',
        security: [],
        params: ShowParams,
        response: { 200: Watch, ...problems(['show_not_found'], { open: true, bodiless: true }) },
      },
    },
    async (request) => {
      const { id, title, state, guests } = unwrap(await store.getShow(request.params.show));
      return {
        gatewayUrl: gatewayUrlFor(request, options),
        show: { id, title, state },
        guests,
        demoTokens: options.demoTokens === true,
      };
    },
  );
  if (options.demoTokens === true) registerDemoTokens(app, deps);
}

function registerDemoTokens(app: App, deps: ControlDeps): void {
  app.post(
    '/shows/:show/demo-tokens',
    {
      config: { open: true },
      schema: {
        tags,
        summary: 'A buyer token for anybody',
        description: 'Exists only in demos: an engine that sells for real does not know this route.',
        security: [],
        params: ShowParams,
        body: NewDemoToken,
        response: { 201: Token, ...problems(['show_not_found', 'show_ended', 'forbidden'], { open: true }) },
      },
    },
    async (request, reply) => {
      const show = unwrap(await deps.store.getShow(request.params.show));
      if (show.state === 'ended') throw new StampedeError(failure('show_ended'));
      reply.code(201);
      return mint(
        deps,
        { show: show.id, user: `demo-${randomUUID()}`, name: request.body.name, role: 'buyer' },
        LIMITS.demoTokenTtlSeconds,
      );
    },
  );
}

function mint(
  { tokens }: ControlDeps,
  claims: { show: string; user: string; name: string; role: Role },
  ttlSeconds: number,
): { token: string; expiresAt: number; user: string } {
  const wrong = checkViewer(claims);
  if (wrong) throw new StampedeError(wrong);
  const token = tokens.mint(claims, ttlSeconds);
  // As it stands in the token: worked out again a moment later it might be the next second.
  return { token, expiresAt: unwrap(tokens.verify(token)).exp * 1000, user: claims.user };
}

/**
 * Viewers reach the gateway under the name they reached us, unless an address of its own is
 * configured.
 */
function gatewayUrlFor(
  request: FastifyRequest,
  { publicGatewayUrl, gatewayPort, gatewayTls }: ControlDeps['options'],
): string {
  if (publicGatewayUrl !== null) return publicGatewayUrl.replace(/\/+$/, '');
  return `${gatewayTls || request.protocol === 'https' ? 'wss' : 'ws'}://${request.hostname}:${gatewayPort}`;
}
