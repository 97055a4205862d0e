/**
 * The README's own words, run: the curl calls for a flash sale and the protocol in browser
 * JavaScript.
 */
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

interface Page {
  readonly buy: (key: string) => void;
  readonly chat: (text: string) => void;
  readonly ws: WebSocket;
}

t.test('a flash sale as the README tells it', { skip: hasCurl ? false : 'curl is not installed' }, async (t) => {
  const engine = await serve(t, ['--data-dir', join(temporaryFolder(t), 'data')]);
  const key = engine.stderr().match(/API key {2}(\S+)/)?.[1] ?? '';
  const script = block('A flash sale with curl', 'sh')
    .replace('http://localhost:8081', engine.ready.control ?? '')
    .replace("'the API key that serve printed'", key)
    .replace('"opensInMs":30000', '"opensInMs":500');
  const [before = '', after = ''] = script.split('# When the buyer has paid');
  const bash = (text: string): Record<string, unknown>[] => {
    const ran = spawnSync('bash', ['-euo', 'pipefail', '-c', text], { encoding: 'utf8' });
    t.equal(ran.status, 0, ran.stderr);
    return ran.stdout
      .split(/\n(?=\{)/)
      .filter((line) => line.trim() !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const answers = bash(before);
  t.match(answers, [
    { id: 'friday' },
    { id: 'tee' },
    { id: 'friday', state: 'live' },
    { id: 'drop', state: 'scheduled' },
    { token: String, user: 'u-1' },
  ]);

  const said: unknown[][] = [];
  const code = block('The protocol in 20 lines of browser JavaScript', 'js').replace(
    'ws://localhost:8080',
    engine.ready.gateway ?? '',
  );
  const open = new Function('token', 'WebSocket', 'console', `${code}\nreturn { ws, chat, buy };`) as (
    token: unknown,
    socket: unknown,
    console: unknown,
  ) => Page;
  const page = open(answers[4]?.token, WebSocket, { log: (...words: unknown[]) => said.push(words) });
  t.teardown(() => page.ws.terminate());
  let reservation = '';
  page.ws.on('message', (data) => {
    const message = JSON.parse(String(data)) as { id?: string; data?: { reservation?: { id: string } } };
    if (message.id === 'buy') reservation = message.data?.reservation?.id ?? reservation;
  });
  t.ok(await eventually(() => said.some(([what]) => what === 'sale.opened')), 'it sees the sale open');
  page.chat('hello');
  page.buy('my-first-key');
  t.ok(
    await eventually(() => said.some(([what]) => what === 'held until')),
    `it gets a hold; it said ${JSON.stringify(said.map(([what]) => what))}`,
  );
  t.ok(
    await eventually(() => said.some(([what]) => what === 'u-1: hello' || what === 'Ada: hello')),
    'it sees its own chat',
  );
  t.ok(said.some(([what]) => what === 'the show:'));
  t.ok(await eventually(() => said.some(([what]) => what === 'closes in')), 'it counts down to the close');

  const [confirmed, books] = bash(
    `RESERVATION=${reservation}\n${before.slice(0, before.indexOf('# A show'))}\n# ${after.replace('-d \'{"orderRef":"order-4711","amount":1900}\'', '-d \'{"orderRef":"order-4711","amount":1900}\'; echo')}`,
  );
  t.match(confirmed, { reservation: { state: 'confirmed', orderRef: 'order-4711' } });
  t.match(books, { id: 'drop', skus: [{ sku: 'TEE-M', allocated: 100, available: 99, sold: 1 }, { sku: 'TEE-L' }] });
});
