import type { ControlDeps } from '../deps.ts';
import { EmptyBody, ShowParams } from '../http/fields.ts';
import { problems } from '../http/problem-schema.ts';
import { type App, actorOf, unwrap } from '../http/routing.ts';
import { ReconciliationSchema, VerificationSchema } from './schemas.ts';

export function registerVerification(app: App, { store }: ControlDeps): void {
  app.get(
    '/shows/:show/verify',
    {
      schema: {
        tags: ['sales'],
        summary: 'Replay the ledger and hold it against the books',
        description: 'Reads every entry of the show: meant for after a sale, not for polling.',
        params: ShowParams,
        response: { 200: VerificationSchema, ...problems(['show_not_found'], { bodiless: true }) },
      },
    },
    async (request) => unwrap(await store.verify(request.params.show)),
  );
  app.post(
    '/shows/:show/reconcile',
    {
      schema: {
        tags: ['sales'],
        summary: 'Verify, and repair books that drifted',
        description:
          'Books that differ from the ledger are brought back to it by compensating ledger entries, never overwritten in silence. A sale whose ledger contradicts itself is paused.',
        params: ShowParams,
        body: EmptyBody,
        response: { 200: ReconciliationSchema, ...problems(['show_not_found', 'overloaded']) },
      },
    },
    async (request) => unwrap(await store.reconcile(request.params.show, actorOf(request))),
  );
}
