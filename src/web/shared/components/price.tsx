import { money } from '../i18n.ts';

export function Price({ amount, currency }: { amount: number; currency: string }) {
  return <span class='price figures'>{money(amount, currency)}</span>;
}
