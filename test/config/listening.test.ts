import { createServer } from 'node:net';
import t from 'tap';
import { listenError, probePort } from '../../src/config/index.ts';

t.test('probePort returns a free port, and an error that names the setting to change', async (t) => {
  const port = await probePort('127.0.0.1', 0, 'GATEWAY_PORT');
  t.equal(await probePort('127.0.0.1', port, 'GATEWAY_PORT'), port, 'the port is free again');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port }, resolve));
  t.teardown(() => server.close());
  await t.rejects(probePort('127.0.0.1', port, 'GATEWAY_PORT'), /is in use\. .* choose another GATEWAY_PORT/);
  await t.rejects(probePort('192.0.2.1', 0, 'GATEWAY_PORT'), /192\.0\.2\.1 is not an address of this machine/);
});

t.test('listenError explains every code', async (t) => {
  for (const [code, text] of [
    ['EACCES', /may not be opened by this user\. Choose a CONTROL_PORT of 1024 or higher/],
    ['ENOTFOUND', /not an address of this machine\. Choose another HOST/],
    ['EMFILE', /cannot listen on ::1:80 \(EMFILE\)/],
  ] as const)
    t.match(listenError('CONTROL_PORT', '::1', 80, Object.assign(new Error(code), { code })).message, text);
});
