import type { ErrorCode } from '../../protocol/codes.ts';
import type { ControlDeps } from '../deps.ts';
import { EmptyBody, ReservationParams } from '../http/fields.ts';
import { commandOf } from '../http/idempotency.ts';
import { problems } from '../http/problem-schema.ts';
import { type App, unwrap } from '../http/routing.ts';
import { ConfirmBody, DecisionView, ExtendHoldBody, Reservation } from './schemas.ts';

const tags = ['reservations'];
/** Key and change are one script. */
const config = { keyed: 'script' } as const;
const MISSING: ErrorCode[] = ['show_not_found', 'reservation_not_found'];
const ENDED: ErrorCode[] = ['reservation_confirmed', 'reservation_released', 'reservation_expired'];

export function registerReservations(app: App, { store }: ControlDeps): void {
  app.get(
    '/shows/:show/reservations/:reservation',
    {
      schema: {
        tags,
        summary: 'One reservation',
        params: ReservationParams,
        response: { 200: Reservation, ...problems(MISSING, { bodiless: true }) },
      },
    },
    async (request) => unwrap(await store.getReservation(request.params.show, request.params.reservation)),
  );
  app.post(
    '/shows/:show/reservations/:reservation/confirm',
    {
      config,
      schema: {
        tags,
        summary: 'Turn a hold into an order',
        description:
          'Call it when the money is there. A hold ends once: when it lapsed first, the answer says so and nothing is sold.',
        params: ReservationParams,
        body: ConfirmBody,
        response: { 200: DecisionView, ...problems([...MISSING, ...ENDED, 'amount_mismatch', 'sale_cancelled']) },
      },
    },
    async (request) => {
      const { show, reservation } = request.params;
      return unwrap(await store.confirm(show, { reservation, ...request.body }, commandOf(request)));
    },
  );
  app.post(
    '/shows/:show/reservations/:reservation/release',
    {
      config,
      schema: {
        tags,
        summary: 'Give the units of a hold back',
        params: ReservationParams,
        body: EmptyBody,
        response: { 200: DecisionView, ...problems([...MISSING, ...ENDED]) },
      },
    },
    async (request) => {
      const { show, reservation } = request.params;
      return unwrap(await store.release(show, reservation, commandOf(request)));
    },
  );
  app.post(
    '/shows/:show/reservations/:reservation/extend',
    {
      config,
      schema: {
        tags,
        summary: 'Give a hold more time',
        description:
          'While a payment is on its way. A try that fails changes nothing, and no hold grows past the longest hold time.',
        params: ReservationParams,
        body: ExtendHoldBody,
        response: { 200: DecisionView, ...problems([...MISSING, ...ENDED, 'limit_reached', 'sale_cancelled']) },
      },
    },
    async (request) => {
      const { show, reservation } = request.params;
      return unwrap(await store.extendHold(show, { reservation, ...request.body }, commandOf(request)));
    },
  );
}
