/** The checkout link of a hold, from the template of its show (`checkoutUrl`). */
import type { ReservationView } from './messages.ts';

/** What a template may name in braces. */
export const CHECKOUT_PLACEHOLDERS = ['reservation', 'amount', 'currency', 'sale', 'show'] as const;

/** Returns the address at which the buyer pays for a reservation. */
export function checkoutAddress(template: string, show: string, reservation: ReservationView): string {
  const { id, amount, currency, sale } = reservation;
  const values: Record<(typeof CHECKOUT_PLACEHOLDERS)[number], string | number> = {
    ...{ reservation: id, amount, currency, sale, show },
  };
  return CHECKOUT_PLACEHOLDERS.reduce(
    (address, name) => address.replaceAll(`{${name}}`, encodeURIComponent(values[name])),
    template,
  );
}
