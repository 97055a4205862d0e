import type { ErrorCode } from '../../protocol/codes.ts';
import { EmptyBody } from '../http/fields.ts';
import { commandOf } from '../http/idempotency.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { unwrap } from '../http/routing.ts';
import {
  ConfirmBody,
  DecisionView,
  ExtendHoldBody,
  Reservation,
  ReservationParams,
  ReservationSchema,
} from './schemas.ts';

const { operation } = operationsOf('reservations');
const MISSING: readonly ErrorCode[] = ['reservation_not_found'];
const ENDED: readonly ErrorCode[] = ['reservation_confirmed', 'reservation_released', 'reservation_expired'];

export const reservations: Resource = {
  tags: [{ name: 'reservations', description: 'Holds on units, and the orders they become' }],
  schemas: [ReservationSchema],
  register(app, { store }) {
    const command = {
      keyed: 'script',
      unlimited: true,
      params: ReservationParams,
      response: { 200: DecisionView },
    } as const;
    app.get(
      '/shows/:show/reservations/:reservation',
      operation({
        summary: 'Get a reservation',
        params: ReservationParams,
        response: { 200: Reservation },
        errors: MISSING,
      }),
      async (request) => unwrap(await store.getReservation(request.params.show, request.params.reservation)),
    );
    app.post(
      '/shows/:show/reservations/:reservation/confirm',
      operation({
        summary: 'Turn a hold into an order',
        description:
          'Call it when the payment has arrived. A hold ends once: if it has expired, the response says so and ' +
          'nothing is sold. An order reference names one order of the show: for another reservation it is refused ' +
          '(`order_ref_taken`), and `details.reservation` is the one that has it.',
        ...command,
        body: ConfirmBody,
        errors: [...MISSING, ...ENDED, 'amount_mismatch', 'order_ref_taken', 'sale_cancelled'],
      }),
      async (request) => {
        const { show, reservation } = request.params;
        return unwrap(await store.confirm(show, { reservation, ...request.body }, commandOf(request)));
      },
    );
    app.post(
      '/shows/:show/reservations/:reservation/release',
      operation({
        summary: 'Release the units of a hold',
        ...command,
        body: EmptyBody,
        errors: [...MISSING, ...ENDED],
      }),
      async (request) =>
        unwrap(await store.release(request.params.show, request.params.reservation, commandOf(request))),
    );
    app.post(
      '/shows/:show/reservations/:reservation/extend',
      operation({
        summary: 'Extend a hold',
        description:
          'For a payment that takes longer. A failed call changes nothing, and no hold exceeds the longest hold time.',
        ...command,
        body: ExtendHoldBody,
        errors: [...MISSING, ...ENDED, 'limit_reached', 'sale_cancelled'],
      }),
      async (request) => {
        const { show, reservation } = request.params;
        return unwrap(await store.extendHold(show, { reservation, ...request.body }, commandOf(request)));
      },
    );
  },
};
