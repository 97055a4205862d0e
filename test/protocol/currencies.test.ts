import t from 'tap';
import { formatMoney, MINOR_UNIT_DIGITS, minorUnitDigits } from '../../src/protocol/currencies.ts';
import { SPEC } from './spec.ts';

t.test('prices have the minor units of ISO 4217, not the decimals of the runtime', async (t) => {
  const shown = (amount: number, currency: string): string => formatMoney(amount, currency, 'en-US');
  t.equal(shown(4900, 'EUR'), '€49.00');
  t.equal(shown(4900, 'JPY'), '¥4,900');
  t.match(shown(490_000, 'HUF'), /^HUF\s4,900\.00$/);
  t.match(shown(490_000, 'IDR'), /4,900\.00$/);
  t.match(shown(490_000, 'COP'), /4,900\.00$/);
  t.match(shown(4_900_000, 'IQD'), /4,900\.000$/);
  t.match(shown(49_000, 'KWD'), /49\.000$/);
  t.match(shown(490_000, 'CLF'), /49\.0000$/);
  t.equal(shown(4900, 'not a currency'), '49.00 not a currency');
  t.equal(minorUnitDigits('constructor'), 2);
});

t.test('SPEC.md lists the currencies that do not have two decimals', async (t) => {
  const [text = ''] = /\*\*Money\*\*[^*]*/.exec(SPEC) ?? [];
  const codes = text.match(/\b[A-Z]{3}\b/g)?.filter((code) => code !== 'ISO') ?? [];
  t.same(codes, Object.keys(MINOR_UNIT_DIGITS));
});
