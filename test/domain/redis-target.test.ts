/** Redis URLs: what they mean, and which are refused with what to do. */
import fc from 'fast-check';
import t from 'tap';
import { describeTarget, parseRedisUrl, type RedisTarget, redisTarget } from '../../src/domain/redis-target.ts';
import { FIRST_SEED as seed } from '../support/seed.ts';

const hosts = ({ servers }: RedisTarget): string => servers.map(({ host, port }) => `${host} ${port}`).join(', ');

const MEANINGS: ReadonlyArray<[url: string, servers: string, rest?: Partial<RedisTarget>]> = [
  ['redis://localhost', 'localhost 6379', { username: null, password: null, db: 0, tls: null, socketPath: null }],
  [
    'rediss://me:pw@redis.example:6380/2',
    'redis.example 6380',
    { username: 'me', password: 'pw', db: 2, tls: {} as never },
  ],
  ['REDIS://Localhost', 'Localhost 6379'],
  [' redis://a/\n', 'a 6379', { db: 0 }],
  ['redis://:pw@a', 'a 6379', { username: null, password: 'pw' }],
  ['redis://me@a', 'a 6379', { username: 'me', password: null }],
  ['redis://@a', 'a 6379', { username: null, password: null }],
  ['redis://me:p%40ss%2F%23%25%3F%2C%3A@a', 'a 6379', { password: 'p@ss/#%?,:' }],
  ['redis://me:p/a#s?s:w@rd@a:1/4', 'a 1', { password: 'p/a#s?s:w@rd', db: 4 }],
  ['redis://:a,b@h:1', 'h 1', { password: 'a,b' }],
  ['redis://[::1]:7000', '::1 7000'],
  ['redis://[fe80::1%25eth0]', 'fe80::1%eth0 6379'],
  ['redis://[::1]:7000,redis://[::1]:7001', '::1 7000, ::1 7001'],
  ['redis://a:1, redis://b:2', 'a 1, b 2'],
  ['redis://me:pw@a:1,b:2,[::1]', 'a 1, b 2, ::1 6379', { username: 'me', password: 'pw' }],
  ['redis://:p,w@a,redis://:p,w@b', 'a 6379, b 6379', { password: 'p,w' }],
  ['redis://a,redis://:pw@b', 'a 6379, b 6379', { password: 'pw' }],
  ['redis://a/0,redis://b/0', 'a 6379, b 6379', { db: 0 }],
  ['redis://a,redis://a', 'a 6379'],
  ['unix:///run/redis.sock', '', { socketPath: '/run/redis.sock' }],
  ['unix://me:p@ss@/run/a@b.sock', '', { socketPath: '/run/a@b.sock', username: 'me', password: 'p@ss' }],
];
for (const [url, servers, rest = {}] of MEANINGS) {
  t.test(`${JSON.stringify(url)} is understood`, async (t) => {
    const target = redisTarget(url);
    t.equal(hosts(target), servers);
    t.match(target, rest);
    t.same(hosts(redisTarget(describeTarget(target))), servers, 'its description names the same servers');
  });
}

const SECRET = 'hunter2';
const REFUSED: ReadonlyArray<[url: string, says: RegExp]> = [
  ['', /must not be empty/],
  [' , ', /must not be empty/],
  ['localhost:6379', /must be redis:\/\/, rediss:\/\/ or unix:/],
  ['redis:/localhost', /must be redis:/],
  ['http://me:hunter2@a', /must be redis:/],
  ['redis://', /must name a host/],
  ['redis://me:hunter2@', /must name a host/],
  ['redis://a:99999', /port from 1 to 65535/],
  ['redis://a:0', /port from 1 to 65535/],
  ['redis://a:hunter2', /must name a host of letters.*and a port/],
  ['redis://a b', /must name a host of letters/],
  ['redis://::1:7000', /IPv6 address in brackets: redis:\/\/\[::1\]/],
  ['redis://[::1', /IPv6 address in brackets/],
  ['redis://[a]', /IPv6 address in brackets/],
  ['redis://a/hunter2', /database number/],
  ['redis://a?password=hunter2', /remove the query part/],
  ['redis://a#hunter2', /remove the # part/],
  ['redis://me:hunter2%@a', /has a % in its password .* write it as %25/],
  ['redis://hunter2%zz:x@a', /has a % in its user .* write it as %25/],
  ['redis://:hunter2%FF@a', /has a % in its password/],
  ['redis://a:hunter2@b,c:hunter2@d', /is ambiguous: write @ as %40 .* and write , as %2C/],
  ['redis://:hunter2@a,redis://:other@b', /same user and password/],
  ['redis://:pw@a,rediss://:pw@b', /redis:\/\/ for all servers or rediss:\/\/ for all \(entry 2\)/],
  ['redis://a,unix:///b.sock', /unix socket beside other servers \(entry 2\)/],
  ['redis://a/1,redis://b', /database in a cluster \(entry 1\)/],
  ['redis://a,redis://b,c/2', /database in a cluster \(entry 2\)/],
  ['unix://relative.sock', /absolute path/],
  ['unix:///a?db=1', /write \? as %3F/],
  ['redis+sentinel://:hunter2@a/main', /REDIS_SENTINEL_MASTER/],
  ['redis://a\nb', /control characters or line breaks/],
];
for (const [url, says] of REFUSED) {
  t.test(`${JSON.stringify(url)} is refused with what to do`, async (t) => {
    const parsed = parseRedisUrl(url);
    const problem = 'problem' in parsed ? parsed.problem : 'accepted';
    t.match(problem, says);
    t.notOk(problem.includes(SECRET), 'no problem contains a secret');
    t.throws(() => redisTarget(url), says);
  });
}

t.test('with sentinels the servers may have a database and the default port is theirs', async (t) => {
  const parsed = parseRedisUrl('redis://:pw@a,b:7000/3', { isSentinel: true });
  t.match(parsed, { target: { db: 3, password: 'pw' } });
  t.equal('target' in parsed && hosts(parsed.target), 'a 26379, b 7000');
});

t.test('any user and password round-trip, percent-encoded or, without % and commas, as they are', async (t) => {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 24 })
    .filter((raw) => !/\p{Cc}|\p{Cs}/u.test(raw));
  const encoded = fc.property(text, text, (username, password) => {
    const login = `${encodeURIComponent(username)}:${encodeURIComponent(password)}`;
    for (const url of [`redis://${login}@a:1`, `redis://${login}@a,redis://${login}@b`, `unix://${login}@/s`])
      t.match(redisTarget(url), { username, password });
  });
  const plain = fc.property(text, text, (user, password) => {
    fc.pre(!/[%,]/.test(user + password) && !user.includes(':') && user.trim() === user);
    t.match(redisTarget(`redis://${user}:${password}@a:1/2`), { username: user, password, db: 2 });
  });
  fc.assert(encoded, { seed });
  fc.assert(plain, { seed });
});

t.test('no text makes the parser throw', async (t) => {
  const piece = fc.constantFrom(
    'redis://',
    'rediss://',
    'unix://',
    '@',
    ':',
    '/',
    ',',
    '%',
    '#',
    '?',
    '[',
    ']',
    'a',
    '1',
  );
  const url = fc.array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 12 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(url, (raw) => parseRedisUrl(raw) !== undefined),
    { seed, numRuns: 2_000 },
  );
  t.pass('none did');
});
