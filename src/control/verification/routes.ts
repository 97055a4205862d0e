import { EmptyBody } from '../http/fields.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { actorOf, unwrap } from '../http/routing.ts';
import { ReconciliationSchema, VerificationSchema } from './schemas.ts';

const { showOperation } = operationsOf('sales');

export const verification: Resource = {
  tags: [],
  schemas: [],
  register(app, { store }) {
    app.get(
      '/shows/:show/verify',
      showOperation({
        summary: 'Replay the ledger and compare it with the books',
        description: 'Reads every entry of the show: meant for after a sale, not for polling.',
        response: { 200: VerificationSchema },
      }),
      async (request) => unwrap(await store.verify(request.params.show)),
    );
    app.post(
      '/shows/:show/reconcile',
      showOperation({
        summary: 'Verify, and repair books that differ from the ledger',
        description:
          'Books that differ from the ledger are corrected by compensating ledger entries. A sale whose ledger ' +
          'contradicts itself, or whose records cannot be read, is paused.',
        body: EmptyBody,
        response: { 200: ReconciliationSchema },
        errors: ['overloaded'],
      }),
      async (request) => unwrap(await store.reconcile(request.params.show, actorOf(request))),
    );
  },
};
