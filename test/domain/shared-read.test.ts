import t from 'tap';
import { sharedRead } from '../../src/domain/shared-read.ts';

t.test('who scrapes while a scrape runs gets its result', async (t) => {
  let calls = 0;
  const scrape = sharedRead(async () => {
    calls += 1;
    return calls;
  }, 0);
  t.same(await Promise.all([scrape(), scrape(), scrape()]), [1, 1, 1]);
  t.equal(await scrape(), 2, 'the next one is new');
});
