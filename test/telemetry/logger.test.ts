import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { createLogger } from '../../src/telemetry/logger.ts';
import { programArguments } from '../support/root.ts';

t.test('secrets are redacted in fields, headers, URLs and error texts', async (t) => {
  const destination = new PassThrough();
  const logger = createLogger({ destination, node: 'n1' });
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.c2VjcmV0LXNpZ25hdHVyZQ';
  const authorization = 'Bearer plain-key';
  logger.info({ token: 'plain-token', request: { authorization, url: '/v1/shows/a?token=plain-query&x=1' } }, 'in');
  const secrets = { authorization, 'x-api-key': 'plain-key', 'sec-websocket-protocol': `token.${jwt}` };
  logger.info({ req: { headers: { ...secrets, host: 'h' } } }, 'in');
  const err = new Error(`refused ${jwt} at redis://user:plain-password@host:6379/0`);
  logger.error({ err }, `redis://:plain-password@host`);
  // As ioredis reports a refused login, alone and behind other errors.
  const login = Object.assign(new Error('WRONGPASS'), { command: { name: 'auth', args: ['plain-password'] } });
  const inner = { lastNodeError: login };
  logger.error({ err: Object.assign(new AggregateError([login], 'many', { cause: login }), inner) }, 'failed');
  const remedy = 'Add it to REDIS_URL: redis://:PASSWORD@HOST or redis://USER:PASSWORD@HOST.';
  logger.error({ remedy }, 'waiting for Redis');
  const output = String(destination.read());
  for (const secret of ['plain-token', 'plain-key', 'plain-query', 'plain-password', 'c2VjcmV0'])
    t.notMatch(output, secret);
  const [first, second, third, fourth, fifth] = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.equal(first.node, 'n1');
  t.match(first, { request: { url: '/v1/shows/a?token=[redacted]&x=1' } });
  t.match(second, { req: { headers: { host: 'h' } } });
  t.match(third, { err: { type: 'Error', message: /redis:\/\/user:\[redacted\]@host:6379\/0/ } });
  t.match(fourth, { err: { aggregateErrors: [{ command: 'auth' }], lastNodeError: { command: 'auth' } } });
  t.equal(fifth.remedy, remedy, 'a placeholder is no secret');
});

t.test('a pretty line has time, level, message, fields and stack, and no secret or control character', (t) => {
  const destination = new PassThrough();
  const logger = createLogger({ destination, node: 'n1', format: 'pretty' });
  logger.info({ show: 'gala', token: 'plain-token', count: 2, title: 'A show', list: ['a'] }, 'show started');
  logger.error({ err: new Error('refused redis://user:plain-password@host \u001b[2J') }, 'failed');
  const [first, second, third = '', ...stack] = String(destination.read()).split('\n');
  t.match(
    first,
    /^\d\d:\d\d:\d\d\.\d{3} INFO {2}show started show=gala token=\[redacted\] count=2 title="A show" list=\["a"\]$/,
  );
  t.match(second, /^\S+ ERROR failed$/);
  t.equal(third, '    Error: refused redis://user:[redacted]@host \ufffd[2J');
  t.match(stack[0], /^ {8}at /);
  t.end();
});

t.test('lines on a terminal are pretty, elsewhere JSON, unless LOG_FORMAT says otherwise', async (t) => {
  const [module = '', ...loader] = programArguments('src/telemetry/logger').reverse();
  const outputOf = async (format: string, isTerminal: boolean): Promise<string> => {
    const code = `import { createLogger } from ${JSON.stringify(pathToFileURL(module).href)};
      createLogger({ format: '${format}', node: 'n1' }).warn({ port: 1 }, 'hello');`;
    const command = [process.execPath, ...loader, '--input-type=module', '-e', code];
    const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    const [program, args] = isTerminal ? ['script', ['-qec', quoted, '/dev/null']] : ['sh', ['-c', quoted]];
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      // With CI set, Node.js assumes a terminal without colors.
      env: { ...process.env, CI: undefined, TERM: 'xterm' },
    });
    return text(child.stdout);
  };
  const [onTerminal, elsewhere, json, pretty] = await Promise.all([
    outputOf('auto', true),
    outputOf('auto', false),
    outputOf('json', true),
    outputOf('pretty', false),
  ]);
  t.match(onTerminal, '\u001b[33mWARN \u001b[0m hello \u001b[90mport=1', 'colored on a terminal');
  for (const line of [elsewhere, json]) t.match(JSON.parse(line), { level: 40, node: 'n1', port: 1, msg: 'hello' });
  t.match(pretty, /^\S+ WARN {2}hello port=1\n$/, 'without colors in a pipe');
});

t.test('a full pipe delays records, but neither the process nor its end', async (t) => {
  const records = 4_000;
  const [module = '', ...loader] = programArguments('src/telemetry/logger').reverse();
  const start = (atEnd: string) => {
    const script = `import { createLogger } from ${JSON.stringify(pathToFileURL(module).href)};
      const logger = createLogger();
      for (let n = 0; n < ${records}; n += 1) logger.info({ n }, 'x'.repeat(100));
      console.error('logged');
      ${atEnd}`;
    const child = spawn(process.execPath, [...loader, '--input-type=module', '-e', script]);
    t.teardown(() => child.kill('SIGKILL'));
    return child;
  };
  t.same(await once(start(''), 'exit'), [0, null], 'it ends although its last records are not read');

  const child = start('process.stdin.resume();');
  await once(child.stderr, 'data');
  let expected = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (JSON.parse(line).n !== expected++) t.fail(line);
    if (expected === records) child.stdin.end();
  }
  t.equal(expected, records, 'all records in order');
});
