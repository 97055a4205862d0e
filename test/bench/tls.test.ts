/** Load over TLS, and errors for certificates that must not be accepted. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
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

const refused = (t: Test, message: RegExp, ...flags: string[]) =>
  t.rejects(open(...flags), { message, constructor: FlagError });

t.test('viewers join, receive and write over TLS, and a wrong certificate is refused', async (t) => {
  const world = await startWorld(t, { gateway: { tls: { ...certificate, passphrase: null } } });
  const url = `wss://127.0.0.1:${world.node.port}`;
  const target = await open('--url', url, '--ca', certificate.certFile);
  const tls = { name: '127.0.0.1', ca: readFileSync(certificate.certFile, 'utf8') };
  t.match(target.gateway, { host: '127.0.0.1', port: world.node.port, tls });
  const [missing] = await metricsOf(target, ['no_such_number']);
  t.ok(Number.isNaN(missing));

  const users = 20;
  const fleet = await startFleet({ processes: 1, seed: 3 });
  t.teardown(() => fleet.close());
  const load = async (gateway: GatewayAddress) => {
    const tokens = Array.from({ length: users }, (_, userIndex) => world.token(`p${userIndex}`));
    const joins = { show: world.show, access: { kind: 'tokens', tokens }, role: 'buyer', joinPerSecond: 200 } as const;
    const params: ViewersParams = { gateway, ...joins, variant: 'msgpack', users, measureEvery: 1 };
    return fleet.load<ViewersParams, ViewersCommand>('viewers', params);
  };
  const room = await load(target.gateway);
  room.start(fleet.nowMs());
  await fleet.when('all joins', () => countOf(fleet.samples, 'joined') === users, 10_000);
  const plan = { perSecond: 40, arrivals: 'steady', forMs: 500, chars: 40, writers: users } as const;
  room.command({ do: 'chat', atMs: fleet.nowMs() + 50, plan });
  await fleet.when('all messages', () => countOf(fleet.samples, 'delivered') === 20 * users, 10_000);
  const [end] = (await room.stop()) as ViewersSummary[];
  t.match(end, { connected: users, unanswered: 0, eventGaps: 0, chatGaps: 0 });
  t.equal(countOf(fleet.samples, 'chat accepted'), 20);
  t.same(refusalsOf(fleet.samples), []);

  const otherTls = { ...tls, ca: readFileSync(other.certFile, 'utf8') };
  const untrusting = await load({ ...target.gateway, tls: otherTls });
  untrusting.start(fleet.nowMs());
  await fleet.when('refusals', () => (refusalsOf(fleet.samples)[0]?.count ?? 0) === users, 10_000);
  t.same(refusalsOf(fleet.samples), [{ code: 'closed_1006', count: users }], 'nothing is sent to an untrusted server');
  await untrusting.stop();

  await refused(t, /self-signed certificate; --ca FILE names the authority/, '--url', url);
  await refused(t, /--ca FILE names the authority/, '--url', url, '--ca', other.certFile);
  const localhost = url.replace('127.0.0.1', 'localhost');
  await refused(t, /does not match certificate/, '--url', localhost, '--ca', certificate.certFile);
});

t.test('wrong TLS flags are reported', async (t) => {
  const nothing = join(folder, 'nothing.pem');
  writeFileSync(nothing, 'hello');
  await refused(t, /--ca is for a --url with wss/, '--ca', certificate.certFile);
  await refused(t, /--ca is for a --url with wss/, '--url', 'ws://127.0.0.1:1', '--ca', certificate.certFile);
  await refused(t, /ENOENT/, '--url', 'wss://127.0.0.1:1', '--ca', join(folder, 'absent.pem'));
  await refused(t, /holds no certificate|cannot be used/, '--url', 'wss://127.0.0.1:1', '--ca', nothing);
  await refused(t, /--url must be ws:\/\/host:port or wss/, '--url', 'ftp://127.0.0.1');
  await refused(t, /ECONNREFUSED/, '--url', 'wss://127.0.0.1:1');
});
