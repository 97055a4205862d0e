import t from 'tap';
import { createApiKeys } from '../../src/auth/api-keys.ts';

t.test('check returns the name of a known key, else null', async (t) => {
  const keys = createApiKeys({ studio: 'studio-secret-0123456789', 'back-office': 'office-secret-0123456789' });
  t.equal(keys.check('studio-secret-0123456789'), 'studio');
  t.equal(keys.check('office-secret-0123456789'), 'back-office');
  for (const wrong of ['', 'studio', 'studio-secret-012345678', 'studio-secret-01234567890', 'x'.repeat(100_000)])
    t.equal(keys.check(wrong), null);
  t.equal(createApiKeys({}).check('studio-secret-0123456789'), null);
});

t.test('weak, repeated and misnamed keys are errors', async (t) => {
  t.throws(() => createApiKeys({ studio: 'short' }), /16 to 256/);
  t.throws(() => createApiKeys({ 'a b': 'studio-secret-0123456789' }), /name/);
  t.throws(() => createApiKeys({ a: 'studio-secret-0123456789', b: 'studio-secret-0123456789' }), /share/);
});
