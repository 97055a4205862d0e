import { Writable } from 'node:stream';
import t from 'tap';
import { createLogger } from '../../src/telemetry/logger.ts';

function collect(): { lines: Array<Record<string, unknown>>; text(): string; stream: Writable } {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      done();
    },
  });
  return {
    stream,
    text: () => chunks.join(''),
    get lines() {
      return chunks
        .join('')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
  };
}

t.test('secrets are redacted in fields, headers, URLs and error texts', async (t) => {
  const out = collect();
  const logger = createLogger({ destination: out.stream, node: 'n1' });
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.c2VjcmV0LXNpZ25hdHVyZQ';
  logger.info(
    { token: 'plain-token', request: { authorization: 'Bearer plain-key', url: '/v1/shows/a?token=plain-query&x=1' } },
    'in',
  );
  logger.info(
    {
      req: {
        headers: {
          authorization: 'Bearer plain-key',
          'x-api-key': 'plain-key',
          'sec-websocket-protocol': `token.${jwt}`,
          host: 'h',
        },
      },
    },
    'in',
  );
  logger.error(
    { err: new Error(`refused ${jwt} at redis://user:plain-password@host:6379/0`) },
    `redis://:plain-password@host`,
  );
  for (const secret of ['plain-token', 'plain-key', 'plain-query', 'plain-password', 'c2VjcmV0'])
    t.notMatch(out.text(), secret);
  const [first, second, third] = out.lines;
  t.equal(first?.node, 'n1');
  t.match(first, { request: { url: '/v1/shows/a?token=[redacted]&x=1' } });
  t.match(second, { req: { headers: { host: 'h' } } });
  t.match(third, { err: { type: 'Error', message: /redis:\/\/user:\[redacted\]@host:6379\/0/ } });
});
