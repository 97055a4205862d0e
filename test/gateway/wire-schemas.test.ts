/** What a gateway sends fits the schemas of the AsyncAPI document. */
import { Compile } from 'typebox/compile';
import type { ClientMessageType } from '../../src/protocol/index.ts';
import { REPLY_DATA, SERVER_SCHEMAS } from '../../src/protocol/server-schemas.ts';
import { HOST, unwrap } from '../support/store-fixture.ts';
import { test } from './harness.ts';

test('every message of a gateway fits its schema (W-1.2, W-2.1, W-3.1, E-3, Q-5.2)', async (t, world) => {
  const { store, show } = world;
  const ann = await world.join();
  const guest = await world.join({ token: null });
  const sale = await world.openSale({ quantity: 1, perBuyer: 1 });
  unwrap(await store.updateShow(show, { visibility: 'public', checkoutUrl: 'https://a.example/{reservation}' }, HOST));
  unwrap(await store.pinProduct(show, 'shirt', HOST));
  unwrap(await store.announce(show, 'hello', HOST));
  const held = await ann.reserve(sale, 'k');
  const { reservation } = held.data;
  const bob = await world.join({ user: 'bob' });
  const replies: Array<[ClientMessageType, unknown]> = [['reserve', held.data]];
  const ask = async (client: typeof ann, request: { t: ClientMessageType; [field: string]: unknown }) => {
    const reply = await client.request(request);
    if (reply.t === 'ok') replies.push([request.t, reply.data]);
    return reply;
  };
  await ask(ann, { t: 'chat', text: 'hi' });
  await ask(ann, { t: 'sync', at: 1.5 });
  await ask(ann, { t: 'page', after: 's/' });
  await ask(ann, { t: 'refresh', token: world.token('ann') });
  await ask(bob, { t: 'waitlist', key: 'w', op: 'join', sale, sku: 'shirt-m' });
  await ask(ann, { t: 'release', key: 'r', reservation: reservation.id });
  await bob.find((m) => m.t === 'you');
  await ask(ann, { t: 'resume', epoch: 'other', offset: 0 });
  await ask(guest, { t: 'chat', text: 'no' });
  await ask(ann, { t: 'reserve', key: 'x', sale: 'none', lines: [{ sku: 'a', qty: 1 }] });
  unwrap(await store.removeChat(show, [1]));
  await ann.event('chat.removed');

  for (const client of [ann, bob, guest])
    for (const message of client.received) {
      const schema = Compile({ ...SERVER_SCHEMAS[message.t as keyof typeof SERVER_SCHEMAS] });
      t.same([...schema.Errors(message)].slice(0, 2), [], JSON.stringify(message).slice(0, 300));
    }
  for (const [type, data] of replies)
    t.ok(Compile({ ...REPLY_DATA[type] }).Check(data), `${type} ${JSON.stringify(data)}`);
  const types = new Set(replies.map(([type]) => type));
  t.same([...types].sort(), 'chat page refresh release reserve resume sync waitlist'.split(' '));
});
