/** Commands, their help, and wrong usage: exit code 2 and an error that says what to do. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { reconcile, verify } from '../../src/cli/books.ts';
import { doctor } from '../../src/cli/doctor.ts';
import { serve } from '../../src/cli/serve.ts';
import { token } from '../../src/cli/token.ts';
import { exportCommand, importCommand } from '../../src/cli/transfer.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { connectStore } from '../../src/redis/index.ts';
import { pack } from '../../src/redis/records.ts';
import { HOST, unwrap } from '../support/store-fixture.ts';
import { run, SHARED_SECRETS, temporaryFolder } from './program.ts';

t.jobs = 3;

t.test('help lists the commands, and each command has a page', async (t) => {
  const [overview, page, bench] = await Promise.all([run(['help']), run(['help', 'serve']), run(['bench', '--help'])]);
  t.match(page, { code: 0, stderr: '' });
  t.match(page.stdout, /--gateway-port <value> [\s\S]*Allowed: 0 to 65535[\s\S]*\(env:\s+GATEWAY_PORT\)/);
  t.equal(overview.code, 0);
  const pages = {
    serve: page.stdout,
    bench: bench.stdout,
    token: token.help([]),
    verify: verify.help([]),
    reconcile: reconcile.help([]),
    export: exportCommand.help([]),
    import: importCommand.help([]),
    doctor: doctor.help([]),
  };
  t.equal(page.stdout, `${serve.help([])}\n`);
  for (const [command, text] of Object.entries(pages)) {
    t.match(overview.stdout, new RegExp(`^  ${command} `, 'm'));
    t.match(text, new RegExp(`^(?:Usage: )?stampede ${command}`));
    if (command !== 'token' && command !== 'bench')
      t.match(text, '--archive-dir', `${command}: its output depends on it`);
  }
});

const WRONG: ReadonlyArray<[argv: string[], env: Record<string, string>, ...says: RegExp[]]> = [
  [[], {}, /stampede <command>/],
  [['serv'], {}, /unknown command 'serv'/, /Did you mean serve\?/],
  [['help', 'serv'], {}, /unknown command 'serv'/],
  [['serv', '--help'], {}, /unknown command 'serv'/],
  [
    ['serve', '--workers', '0', '--colour', 'red'],
    { GATEWAY_PORT: 'http', REDIS_URL: 'nope', ARCHIVE_DIR: '/proc/archive' },
    /ARCHIVE_DIR: \/proc\/archive cannot be used: it cannot be created there/,
    /--workers: must be from 1 to 64, got 0/,
    /--colour: is not a flag/,
    /GATEWAY_PORT: must be a whole number/,
    /REDIS_URL: must be redis:/,
    /See: stampede serve --help/,
  ],
  [
    ['token', '--role', 'king', '--ttl', '0'],
    SHARED_SECRETS,
    /--show: is needed/,
    /--user: is needed/,
    /--role: must be one of guest, viewer/,
    /--ttl: must be/,
  ],
  [
    ['serve', '--port', '80'],
    {},
    /--port: is not a flag .*Did you mean --gateway-port or --control-port or --metrics-port/,
  ],
  [['verify'], {}, /--show: is needed/],
  [['verify', '--show', 'a', '--archive', 'b'], {}, /--archive: cannot be given together with --show/],
  [['reconcile', '--archive', 'b'], {}, /--archive: is not a flag/],
  [
    ['serve', '--retention', '30'],
    {},
    /--retention: is "30", which has no unit\. Allowed: a number with a unit: 90s, 30m, 12h or 30d, from/,
  ],
  [
    ['serve'],
    { RETENTION: '0s' },
    /RETENTION: is "0s", which is too short\. Shows cannot be kept in Redis forever\. Allowed: .* from 1 second/,
  ],
];
for (const [argv, env, ...says] of WRONG) {
  t.test(`stampede ${argv.join(' ')} names every error and exits with 2`, async (t) => {
    const refused = await run(argv, env);
    t.match(refused, { code: 2, stdout: '' });
    for (const text of says) t.match(refused.stderr, text);
  });
}

t.test('commands other than serve and import name a DATA_DIR that does not exist, and make nothing', async (t) => {
  const folder = temporaryFolder(t);
  const dataDir = join(folder, 'data');
  const commands = [
    ['token', '--show', 'friday', '--user', 'ada'],
    ['verify', '--show', 'friday'],
    ['export', '--show', 'friday', join(folder, 'file')],
    ['doctor'],
  ];
  const results = await Promise.all(
    commands.map((command) => run([...command, '--data-dir', dataDir], { KEY_PREFX: 'a' })),
  );
  for (const { code, stdout, stderr } of results) {
    t.match({ code, stdout }, { code: 2, stdout: '' });
    t.match(stderr, `DATA_DIR: No engine has run in ${dataDir}. Set DATA_DIR or REDIS_URL.`);
    t.match(stderr, /warning: KEY_PREFX is not a setting and is ignored\. Did you mean KEY_PREFIX\?/);
  }
  t.same(readdirSync(folder), []);
});

t.test('token signs a token that the engine accepts', async (t) => {
  const flags = '--show friday --user u-1 --name Ada --role moderator --ttl 60'.split(' ');
  const signed = await run(['token', ...flags], SHARED_SECRETS);
  t.equal(signed.code, 0, signed.stderr);
  const tokens = createTokens({ secret: SHARED_SECRETS.AUTH_SECRET, nowMs: Date.now });
  const value = { show: 'friday', user: 'u-1', name: 'Ada', role: 'moderator' };
  t.match(tokens.verify(signed.stdout.trim()), { ok: true, value });
});

t.test(
  'verify names the searched Redis and the nearest shows; reconcile names each sale it cannot pause',
  async (t) => {
    const redis = await startRedis();
    t.teardown(redis.stop);
    const env = { REDIS_URL: redis.url, KEY_PREFIX: 'shop:' };
    const store = await connectStore({ redis: redisTarget(redis.url), keyPrefix: env.KEY_PREFIX });
    const books = { brands: [{ id: 'b', name: 'Brand' }] };
    for (const id of ['friday', 'saturday']) unwrap(await store.createShow({ id, title: id, ...books }, HOST));
    unwrap(await store.putProduct('friday', { id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'S' }] }, HOST));
    for (const [id, opensInMs] of [
      ['open', 0],
      ['later', 600_000],
    ] as const) {
      const skus = [{ sku: 'S', product: 'p', price: 1000, quantity: 10 }];
      const spec = { id, title: id, currency: 'EUR', opensInMs, durationMs: 600_000, skus };
      unwrap(await store.createSale('friday', spec, { key: id, actor: HOST }));
      const forged = pack(['confirm', id, 'unknown', 'x', HOST, 'k', 'o', [['S', 1, 9, 1, 0, 0, 9, 0, 1, 0]]]);
      await redis.client().xadd('shop:{friday}:ledger', '*', 'e', forged);
    }
    await store.close();
    const [mistyped, otherPrefix, unavailable, reconciled] = await Promise.all([
      run(['verify', '--show', 'fridai'], env),
      run(['verify', '--show', 'friday'], { REDIS_URL: redis.url }),
      run(['verify', '--show', 'a'], { REDIS_URL: `unix://${temporaryFolder(t)}/no.sock` }),
      run(['reconcile', '--show', 'friday'], env),
    ]);
    t.match(mistyped, {
      code: 1,
      stderr: `show_not_found: There is no show "fridai" in ${redis.url} under KEY_PREFIX shop:`,
    });
    t.match(mistyped.stderr, /Did you mean friday\? Newest shows there: .*saturday/);
    t.match(otherPrefix, {
      code: 1,
      stderr: /under KEY_PREFIX stampede:\. No show has this prefix: check REDIS_URL or/,
    });
    t.match(unavailable, { code: 3, stderr: /The unix socket of Redis cannot be opened .* Check that Redis runs/ });
    t.match(reconciled, { code: 1, stdout: /^paused, because their books cannot be trusted: open$/m });
    t.match(reconciled.stdout, /^NOT PAUSED.*: later \(it is scheduled/m);
  },
);
