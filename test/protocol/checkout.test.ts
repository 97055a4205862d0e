import t from 'tap';
import { checkoutAddress } from '../../src/protocol/index.ts';
import { holdView } from '../support/show-view.ts';

t.test('a checkout link has the values of the reservation, percent-encoded (W-8.2)', async (t) => {
  const hold = holdView('r-1/?&', { amount: 4900, currency: 'EUR', sale: 'flash' });
  const template = 'https://shop.example/{reservation}?sum={amount}+{currency}&again={amount}#{show}/{sale}';
  const address = 'https://shop.example/r-1%2F%3F%26?sum=4900+EUR&again=4900#gala/flash';
  t.equal(checkoutAddress(template, 'gala', hold), address);
  t.equal(checkoutAddress('https://shop.example/{other}', 'gala', hold), 'https://shop.example/{other}');
  t.equal(
    checkoutAddress('{reservation}', 'gala', holdView('$&{amount}')),
    '%24%26%7Bamount%7D',
    'no value is a template',
  );
});
