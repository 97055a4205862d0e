/**
 * Serializers of responses, compiled once for each schema. Fastify compiles one for each route and
 * status; most have the schema of problems, and that took a third of the start of an engine.
 */
import { type SerializerFactory, SerializerSelector } from '@fastify/fast-json-stringify-compiler';

type Serializer = ReturnType<ReturnType<SerializerFactory>>;

/** Returns a factory for an app whose shared schemas are added before its routes. */
export function sharedSerializers(): SerializerFactory {
  const build = SerializerSelector();
  const compiled = new Map<string, Serializer>();
  return (externalSchemas, options) => (route) => {
    const key = JSON.stringify(route.schema);
    const serializer = compiled.get(key) ?? build(externalSchemas, options)(route);
    compiled.set(key, serializer);
    return serializer;
  };
}
