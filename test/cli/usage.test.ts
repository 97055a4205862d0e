/** Commands, their help, and wrong usage: exit code 2 and an error that says what to do. */
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { reconcile, verify } from '../../src/cli/books.ts';
import { serve } from '../../src/cli/serve.ts';
import { token } from '../../src/cli/token.ts';
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
  };
  t.equal(page.stdout, `${serve.help([])}\n`);
  for (const [command, text] of Object.entries(pages)) {
    t.match(overview.stdout, new RegExp(`^  ${command} `, 'm'));
    t.match(text, new RegExp(`^(?:Usage: )?stampede ${command}`));
  }
});

const WRONG: ReadonlyArray<[argv: string[], env: Record<string, string>, ...says: RegExp[]]> = [
  [[], {}, /stampede <command>/],
  [['serv'], {}, /unknown command 'serv'/, /Did you mean serve\?/],
  [['help', 'serv'], {}, /unknown command 'serv'/],
  [['serv', '--help'], {}, /unknown command 'serv'/],
  [
    ['serve', '--workers', '0', '--colour', 'red'],
    { GATEWAY_PORT: 'http', REDIS_URL: 'nope' },
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
  [['verify'], {}, /--show: is needed/],
];
for (const [argv, env, ...says] of WRONG) {
  t.test(`stampede ${argv.join(' ')} names every error and exits with 2`, async (t) => {
    const refused = await run(argv, env);
    t.match(refused, { code: 2, stdout: '' });
    for (const text of says) t.match(refused.stderr, text);
  });
}

t.test('token signs a token that the engine accepts', async (t) => {
  const flags = '--show friday --user u-1 --name Ada --role moderator --ttl 60'.split(' ');
  const signed = await run(['token', ...flags], SHARED_SECRETS);
  t.equal(signed.code, 0, signed.stderr);
  const tokens = createTokens({ secret: SHARED_SECRETS.AUTH_SECRET, nowMs: Date.now });
  const value = { show: 'friday', user: 'u-1', name: 'Ada', role: 'moderator' };
  t.match(tokens.verify(signed.stdout.trim()), { ok: true, value });
});

t.test('verify reports an unknown show and an unavailable Redis', async (t) => {
  const redis = await startRedis();
  t.teardown(redis.stop);
  const [unknown, unavailable] = await Promise.all([
    run(['verify', '--show', 'none'], { REDIS_URL: redis.url }),
    run(['verify', '--show', 'a'], { REDIS_URL: `unix://${temporaryFolder(t)}/no.sock` }),
  ]);
  t.match(unknown, { code: 1, stderr: /show_not_found/ });
  t.match(unavailable, { code: 1, stderr: /redis_unavailable/ });
});
