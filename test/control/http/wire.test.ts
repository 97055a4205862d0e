import t from 'tap';
import { CLIENT_EXAMPLES, SERVER_EXAMPLES } from '../../../src/protocol/message-examples.ts';
import { startControl } from '../harness.ts';

t.test('/asyncapi.json is the protocol of viewers, at the address of the gateway', async (t) => {
  const { request } = await startControl(t);
  const response = await request('/asyncapi.json', { key: null });
  const servers = { gateway: { host: 'gateway.test:8080', protocol: 'ws' } };
  t.match(response, { status: 200, body: { asyncapi: '3.0.0', info: { version: '0.0.0-test' }, servers } });
});

t.test('/asyncapi is a page without scripts and inline styles, and has every message', async (t) => {
  const { request } = await startControl(t);
  const { status, headers, text } = await request('/asyncapi', { key: null });
  t.match({ status, headers }, { status: 200, headers: { 'content-type': /^text\/html/ } });
  t.match(String(headers['content-security-policy']), /default-src 'none';.*style-src 'self'/);
  t.notMatch(text, /<script|<style| style=| on\w+=|https?:\/\/(?!cdn|shop)/);
  t.match(text, '<link rel="icon" href="data:,">', 'no request for another icon');
  const navs = [...text.matchAll(/<nav([^>]*)>/g)].map(([, attributes]) => attributes);
  t.equal(new Set(navs).size, navs.length, `each has another name: ${navs}`);
  for (const name of Object.keys({ ...CLIENT_EXAMPLES, ...SERVER_EXAMPLES })) t.match(text, `<h3 id="${name}">`, name);
  const [, ...targets] = text.split('href="#').map((part) => part.split('"')[0] ?? '');
  for (const target of targets) t.ok(text.includes(`id="${target}"`), target);
  t.match(await request('/asyncapi.css', { key: null }), { status: 200, headers: { 'content-type': /^text\/css/ } });
});
