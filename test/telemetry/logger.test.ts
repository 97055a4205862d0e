import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
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
  const text = String(destination.read());
  for (const secret of ['plain-token', 'plain-key', 'plain-query', 'plain-password', 'c2VjcmV0'])
    t.notMatch(text, secret);
  const [first, second, third] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.equal(first.node, 'n1');
  t.match(first, { request: { url: '/v1/shows/a?token=[redacted]&x=1' } });
  t.match(second, { req: { headers: { host: 'h' } } });
  t.match(third, { err: { type: 'Error', message: /redis:\/\/user:\[redacted\]@host:6379\/0/ } });
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
