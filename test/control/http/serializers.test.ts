/** Serializers of responses: one for each schema, because compiling them is most of a start. */
import t from 'tap';
import { sharedSerializers } from '../../../src/control/http/serializers.ts';

t.test('equal schemas share a serializer, over all routes and statuses', async (t) => {
  const factory = sharedSerializers();
  const problem = { type: 'object', properties: { code: { type: 'string' } } };
  const serializerOf = (schema: object, httpStatus = '200') =>
    factory({ Problem: { $id: 'Problem', ...problem } })({ method: 'GET', url: '/', httpStatus, schema });
  const first = serializerOf({ $ref: 'Problem#' }, '404');
  t.equal(serializerOf({ $ref: 'Problem#' }, '503'), first);
  t.equal(first({ code: 'not_found', secret: 1 }), '{"code":"not_found"}');
  const other = serializerOf({ type: 'object', properties: { id: { type: 'string' } } });
  t.not(other, first);
  t.equal(other({ id: 'gala', code: 'x' }), '{"id":"gala"}');
});
