/** Load over TLS, and errors for certificates that must not be accepted. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { countOf, refusalsOf } from '../../bench/generator/assemble.ts';
import { startFleet } from '../../bench/generator/fleet.ts';
import type { ViewersCommand, ViewersParams, ViewersSummary } from '../../bench/generator/workloads/viewers.ts';
import { COMMON_FLAGS } from '../../bench/scenarios/common-flags.ts';
import { FlagError, readFlags } from '../../bench/scenarios/flags.ts';
import { type GatewayAddress, metricsOf, openTarget, type Target } from '../../bench/scenarios/target.ts';
import { startWorld } from '../gateway/harness.ts';
import { selfSigned } from '../support/self-signed.ts';

const folder = t.testdir();
const certificate = selfSigned(folder);
const other = selfSigned(folder, 'other');
const open = (...flags: string[]): Promise<Target> => openTarget(readFlags(COMMON_FLAGS, flags), { control: false });

t.test('viewers join, receive and write over TLS, and a wrong certificate is refused', async (t) => {
  const world = await startWorld(t, { gateway: { tls: { ...certificate, passphrase: null } } });
  const url = `wss://127.0.0.1:${world.node.port}`;
  const target = await open('--url', url, '--ca', certificate.certFile);
  t.match(target.gateway, {
    host: '127.0.0.1',
    port: world.node.port,
    tls: { name: '127.0.0.1', ca: readFileSync(certificate.certFile, 'utf8') },
  });
  const [missing] = await metricsOf(target.gateway, ['no_such_number']);
  t.ok(Number.isNaN(missing));

  const users = 20;
  const fleet = await startFleet({ processes: 1, seed: 3 });
  t.teardown(() => fleet.close());
  const load = async (gateway: GatewayAddress) => {
    const tokens = Array.from({ length: users }, (_, userIndex) => world.token(`p${userIndex}`));
    const access = { kind: 'tokens', tokens } as const;
    const params = {
      gateway,
      show: world.show,
      access,
      role: 'buyer',
      variant: 'msgpack',
      users,
      joinPerSecond: 200,
      measureEvery: 1,
    } as const;
    return fleet.load<ViewersParams, ViewersCommand>('viewers', params);
  };
  const room = await load(target.gateway);
  room.start(fleet.nowMs());
  await fleet.when('all joins', () => countOf(fleet.samples, 'joined') === users, 10_000);
  room.command({
    do: 'chat',
    atMs: fleet.nowMs() + 50,
    plan: { perSecond: 40, arrivals: 'steady', forMs: 500, chars: 40, writers: users },
  });
  await fleet.when('all messages', () => countOf(fleet.samples, 'delivered') === 20 * users, 10_000);
  const [end] = (await room.stop()) as ViewersSummary[];
  t.match(end, { connected: users, unanswered: 0, eventGaps: 0, chatGaps: 0 });
  t.equal(countOf(fleet.samples, 'chat accepted'), 20);
  t.same(refusalsOf(fleet.samples), []);

  const untrusting = await load({
    ...target.gateway,
    tls: { name: '127.0.0.1', ca: readFileSync(other.certFile, 'utf8') },
  });
  untrusting.start(fleet.nowMs());
  await fleet.when('refusals', () => (refusalsOf(fleet.samples)[0]?.count ?? 0) === users, 10_000);
  t.same(refusalsOf(fleet.samples), [{ code: 'closed_1006', count: users }], 'nothing is sent to an untrusted server');
  await untrusting.stop();

  const refusal = (pattern: RegExp, ...flags: string[]) =>
    t.rejects(open(...flags), { message: pattern, constructor: FlagError });
  await refusal(/self-signed certificate; --ca FILE names the authority/, '--url', url);
  await refusal(/--ca FILE names the authority/, '--url', url, '--ca', other.certFile);
  await refusal(
    /does not match certificate/,
    '--url',
    url.replace('127.0.0.1', 'localhost'),
    '--ca',
    certificate.certFile,
  );
});

t.test('wrong TLS flags are reported', async (t) => {
  const nothing = join(folder, 'nothing.pem');
  writeFileSync(nothing, 'hello');
  const refusal = (pattern: RegExp, ...flags: string[]) =>
    t.rejects(open(...flags), { message: pattern, constructor: FlagError });
  await refusal(/--ca is for a --url with wss/, '--ca', certificate.certFile);
  await refusal(/--ca is for a --url with wss/, '--url', 'ws://127.0.0.1:1', '--ca', certificate.certFile);
  await refusal(/ENOENT/, '--url', 'wss://127.0.0.1:1', '--ca', join(folder, 'absent.pem'));
  await refusal(/holds no certificate|cannot be used/, '--url', 'wss://127.0.0.1:1', '--ca', nothing);
  await refusal(/--url must be ws:\/\/host:port or wss/, '--url', 'ftp://127.0.0.1');
  await refusal(/ECONNREFUSED/, '--url', 'wss://127.0.0.1:1');
});
