/** Runs the examples of README.md: the curl calls of a flash sale, and the browser JavaScript. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { WebSocket } from 'ws';
import { ROOT } from '../support/root.ts';
import { eventually, serve, temporaryFolder } from './program.ts';

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const hasCurl = spawnSync('curl', ['--version'], { stdio: 'ignore' }).status === 0;

function block(heading: string, language: string): string {
  const section = readme.slice(readme.indexOf(`## ${heading}`));
  return section.match(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``))?.[1] ?? '';
}

type OpenPage = (...globals: unknown[]) => { buy(key: string): void; chat(text: string): void; ws: WebSocket };

t.test('the examples of README.md run a flash sale', { skip: hasCurl ? false : 'curl is not installed' }, async (t) => {
  const engine = await serve(t, ['--data-dir', join(temporaryFolder(t), 'data')]);
  const key = engine.stderr().match(/API key {2}(\S+)/)?.[1] ?? '';
  const script = block('Hosts: a flash sale with curl', 'sh')
    .replace('http://localhost:8081', engine.ready.control ?? '')
    .replace("'the API key that serve printed'", key)
    .replace('"opensInMs":30000', '"opensInMs":3000');
  const [before = '', after = ''] = script.split('# After the payment');
  const bash = (text: string): Record<string, unknown>[] => {
    const ran = spawnSync('bash', ['-euo', 'pipefail', '-c', text], { encoding: 'utf8' });
    t.equal(ran.status, 0, ran.stderr);
    return ran.stdout
      .split(/\n(?=\{)/)
      .filter((line) => line.trim() !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const results = bash(before);
  t.match(results, [
    { id: 'friday' },
    { id: 'tee' },
    { id: 'friday', state: 'live' },
    { id: 'drop', state: 'scheduled' },
    { token: String, user: 'u-1' },
  ]);

  const logged: unknown[][] = [];
  const example = block('Frontends: the protocol without the SDK', 'js');
  const code = example.replace('ws://localhost:8080', engine.ready.gateway ?? '');
  const open = new Function('token', 'WebSocket', 'console', `${code}\nreturn { ws, chat, buy };`) as OpenPage;
  const page = open(results[4]?.token, WebSocket, { log: (...words: unknown[]) => logged.push(words) });
  t.teardown(() => page.ws.terminate());
  let reservation = '';
  page.ws.on('message', (data) => {
    const message = JSON.parse(String(data)) as { id?: string; data?: { reservation?: { id: string } } };
    if (message.id === 'buy') reservation = message.data?.reservation?.id ?? reservation;
  });
  const shows = (pattern: RegExp): Promise<boolean> =>
    eventually(() => logged.some(([what]) => pattern.test(String(what))));
  t.ok(await shows(/^sale\.opened$/), 'the page shows the opening');
  page.chat('hello');
  page.buy('my-first-key');
  t.ok(await shows(/^held:$/), `the page shows the hold; it logged ${JSON.stringify(logged)}`);
  t.ok(await shows(/^(?:u-1|Ada): hello$/), 'the page shows its chat');
  t.ok(await shows(/^the show:$/));
  t.ok(await shows(/^closes in$/), 'the page counts down to the close');

  const order = `-d '{"orderRef":"order-4711","amount":1900}'`;
  const setup = before.slice(0, before.indexOf('call POST'));
  const [confirmed, books, ...others] = bash(
    `RESERVATION=${reservation}\n${setup}\n# ${after.replace(order, `${order}; echo`)}`,
  );
  t.match(confirmed, { reservation: { state: 'confirmed', orderRef: 'order-4711' } });
  t.match(books, { id: 'drop', skus: [{ sku: 'TEE-M', allocated: 100, available: 99, sold: 1 }, { sku: 'TEE-L' }] });
  t.match(others.slice(-3), [
    { redisBytes: Number, archiveBytes: null },
    { state: 'done', reservations: 1, message: /^All data of this user/ },
    { state: 'done' },
  ]);
});
