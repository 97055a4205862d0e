import { randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { checkViewer } from '../../domain/viewer.ts';
import { LIMITS } from '../../limits.ts';
import { StampedeError } from '../../protocol/codes.ts';
import type { Role } from '../../protocol/messages.ts';
import type { ControlDeps } from '../deps.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { type App, refusal, unwrap } from '../http/routing.ts';
import { NewDemoToken, NewToken, Token, Watch } from './schemas.ts';

const { showOperation } = operationsOf('access');

export const access: Resource = {
  tags: [{ name: 'access', description: 'Viewer tokens, and what a viewer page needs to connect' }],
  schemas: [],
  register(app, deps) {
    const { store, options } = deps;
    app.post(
      '/shows/:show/tokens',
      showOperation({
        summary: 'Mint a viewer token for the show',
        description: 'Your site requests it for a user it has identified. The viewer page connects with it.',
        body: NewToken,
        response: { 201: Token },
        errors: ['forbidden'],
      }),
      async (request, reply) => {
        const { user, name, role, ttlSeconds = LIMITS.tokenTtlSecondsDefault } = request.body;
        const show = unwrap(await store.getShow(request.params.show));
        reply.code(201);
        return mint(deps, { show: show.id, user, name, role }, ttlSeconds);
      },
    );
    app.get(
      '/shows/:show/watch',
      showOperation({ summary: 'Get what a viewer page needs to connect', open: true, response: { 200: Watch } }),
      async (request) => {
        const { id, title, state, guests } = unwrap(await store.getShow(request.params.show));
        const gatewayUrl = gatewayUrlFor(request, options);
        return { gatewayUrl, show: { id, title, state }, guests, demoTokens: options.demoTokens === true };
      },
    );
    if (options.demoTokens === true) registerDemoTokens(app, deps);
  },
};

function registerDemoTokens(app: App, deps: ControlDeps): void {
  app.post(
    '/shows/:show/demo-tokens',
    showOperation({
      summary: 'Mint a buyer token without an API key',
      description: 'Exists only with DEMO_TOKENS. Never use it in production.',
      open: true,
      body: NewDemoToken,
      response: { 201: Token },
      errors: ['show_ended', 'forbidden'],
    }),
    async (request, reply) => {
      const { id: show, state } = unwrap(await deps.store.getShow(request.params.show));
      if (state === 'ended') throw refusal('show_ended');
      reply.code(201);
      const claims = { show, user: `demo-${randomUUID()}`, name: request.body.name, role: 'buyer' } as const;
      return mint(deps, claims, LIMITS.demoTokenTtlSeconds);
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
  // Read from the token: computed again, it could already be the next second.
  return { token, expiresAt: unwrap(tokens.verify(token)).exp * 1000, user: claims.user };
}

/** Without a public URL, viewers reach the gateway by the host name of this request. */
export function gatewayUrlFor(
  { protocol, hostname }: FastifyRequest,
  { publicGatewayUrl, gatewayPort, gatewayTls }: ControlDeps['options'],
): string {
  if (publicGatewayUrl !== null) return publicGatewayUrl.replace(/\/+$/, '');
  return `${gatewayTls || protocol === 'https' ? 'wss' : 'ws'}://${hostname}:${gatewayPort}`;
}
