import type { ControlDeps } from '../deps.ts';
import { type App, unwrap } from '../routing.ts';
import { ShowParams } from '../schemas/fields.ts';
import { problems } from '../schemas/problem.ts';
import { VerificationSchema } from '../schemas/sales.ts';

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
}
