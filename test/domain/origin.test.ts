import t from 'tap';
import { originTest, readOrigin } from '../../src/domain/origin.ts';

t.test('origins are read as browsers send them, apps and wildcards too', async (t) => {
  for (const [text, origin] of [
    ['https://shop.example', 'https://shop.example'],
    [' HTTPS://Shop.Example:443/ ', 'https://shop.example'],
    ['http://[::1]:3000', 'http://[::1]:3000'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['https://*.shop.example', 'https://*.shop.example'],
    ['https://*.localhost', null],
    ['https://*', null],
    ['https://shop.*.example', null],
    ['https://shop.example/live', null],
    ['https://shop.example?x', null],
    ['https://user@shop.example', null],
    ['shop.example', null],
    ['', null],
  ] as const)
    t.equal(readOrigin(text), origin, text);
});

t.test('a wildcard is every subdomain, and nothing that only looks like one', async (t) => {
  const isAllowed = originTest(['https://shop.example', 'https://*.shop.example']);
  for (const origin of ['https://shop.example', 'https://live.shop.example', 'https://a.b.shop.example'])
    t.ok(isAllowed(origin), origin);
  for (const origin of [
    'http://live.shop.example',
    'https://evilshop.example',
    'https://.shop.example',
    'https://evil.example/.shop.example',
    'https://live.shop.example:8443',
    'https://live.shop.example.evil.example',
    'null',
  ])
    t.notOk(isAllowed(origin), origin);
  t.notOk(originTest([])('https://shop.example'));
  t.ok(originTest(null)('https://any.example'));
});
