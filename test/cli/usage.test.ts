/**
 * Commands, help, and what happens when they are used wrongly: exit code 2 and a sentence that says
 * what to do.
 */
import t from 'tap';
import { createTokens } from '../../src/auth/tokens.ts';
import { startRedis } from '../support/redis.ts';
import { run, SHARED_SECRETS, temporaryFolder } from './program.ts';

t.jobs = 2;

t.test('help lists the commands, and each command explains itself', async (t) => {
  const overview = await run(['help']);
  t.equal(overview.code, 0);
  for (const command of ['serve', 'token', 'verify', 'reconcile', 'bench']) {
    t.match(overview.stdout, new RegExp(`^  ${command} `, 'm'));
    const page = await run([command, '--help']);
    t.equal(page.code, 0);
    t.match(page.stdout, new RegExp(`^(?:Usage: )?stampede ${command}`));
    t.equal(page.stderr, '');
  }
  t.match(
    (await run(['help', 'serve'])).stdout,
    /--gateway-port <value> [\s\S]*Allowed: 0 to 65535[\s\S]*\(env:\s+GATEWAY_PORT\)/,
  );
});

t.test('no command, an unknown command', async (t) => {
  t.match((await run(['serv'])).stderr, /Did you mean serve\?/);
  t.match(await run([]), { code: 2, stdout: '', stderr: /stampede <command>/ });
  t.match(await run(['dance']), {
    code: 2,
    stdout: '',
    stderr: /unknown command 'dance'/,
  });
});

t.test('serve names every mistake and does not start', async (t) => {
  const refused = await run(['serve', '--workers', '0', '--colour', 'red'], {
    GATEWAY_PORT: 'http',
    REDIS_URL: 'nope',
  });
  t.equal(refused.code, 2);
  for (const where of [
    '--workers: must be from 1 to 64, got 0',
    '--colour: is not a flag',
    'GATEWAY_PORT: must be a whole number',
    'REDIS_URL: must be redis://',
  ])
    t.ok(refused.stderr.includes(where), where);
  t.match(refused.stderr, /See: stampede serve --help/);
  t.match(await run(['serve'], { REDIS_URL: 'redis://localhost:1' }), {
    code: 2,
    stderr: /AUTH_SECRET: .*\n.*API_KEYS: /,
  });
});

t.test('token signs what the engine accepts', async (t) => {
  const made = await run(
    ['token', '--show', 'friday', '--user', 'u-1', '--name', 'Ada', '--role', 'moderator', '--ttl', '60'],
    SHARED_SECRETS,
  );
  t.equal(made.code, 0, made.stderr);
  const tokens = createTokens({ secret: SHARED_SECRETS.AUTH_SECRET, nowMs: Date.now });
  t.match(tokens.verify(made.stdout.trim()), {
    ok: true,
    value: { show: 'friday', user: 'u-1', name: 'Ada', role: 'moderator' },
  });
});

t.test('token names what is missing or wrong', async (t) => {
  const refused = await run(['token', '--role', 'king', '--ttl', '0'], SHARED_SECRETS);
  t.equal(refused.code, 2);
  for (const where of [
    '--show: is needed',
    '--user: is needed',
    '--role: must be one of guest, viewer',
    '--ttl: must be',
  ])
    t.ok(refused.stderr.includes(where), where);
  t.match(await run(['token', '--show', 'a', '--user', 'b'], { REDIS_URL: 'redis://localhost:1' }), {
    code: 2,
    stderr: /AUTH_SECRET: is needed to sign/,
  });
});

t.test('verify says what is wrong with the question', async (t) => {
  t.match(await run(['verify']), { code: 2, stderr: /--show: is needed/ });
  const redis = await startRedis();
  t.teardown(redis.stop);
  t.match(await run(['verify', '--show', 'nobody'], { REDIS_URL: redis.url }), { code: 1, stderr: /show_not_found/ });
  t.match(await run(['verify', '--show', 'a'], { REDIS_URL: `unix://${temporaryFolder(t)}/no.sock` }), {
    code: 1,
    stderr: /redis_unavailable/,
  });
});
