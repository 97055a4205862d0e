import { Type } from 'typebox';
import { LIMITS } from '../../protocol/limits.ts';
import { ROLES, type Role } from '../../protocol/messages.ts';
import type { Durability } from '../../sales/types.ts';
import { Id, Moment, Name, Title } from './fields.ts';

export const NewToken = Type.Object(
  {
    user: Type.String({ minLength: 1, maxLength: LIMITS.userIdCharsMax, description: 'Your id of this person' }),
    name: Type.String({ minLength: 1, maxLength: LIMITS.nameCharsMax, description: 'Shown in chat' }),
    role: Type.Unsafe<Role>({ type: 'string', enum: [...ROLES] }),
    ttlSeconds: Type.Optional(Type.Integer({ minimum: LIMITS.tokenTtlSecondsMin, maximum: LIMITS.tokenTtlSecondsMax, default: LIMITS.tokenTtlSecondsDefault })),
  },
  { additionalProperties: false },
);
export const NewDemoToken = Type.Object({ name: Name }, { additionalProperties: false });
export const Token = Type.Object({ token: Type.String(), expiresAt: Moment, user: Type.String() });

export const Watch = Type.Object({
  gatewayUrl: Type.String({ description: 'WebSocket address of the gateway; append /v1/shows/{show}' }),
  show: Type.Object({ id: Id, title: Title, state: Type.Unsafe<'planned' | 'live' | 'ended'>({ type: 'string', enum: ['planned', 'live', 'ended'] }) }),
  guests: Type.Boolean({ description: 'May people without a token watch?' }),
  demoTokens: Type.Boolean({ description: 'Does this engine give tokens to anybody? Only in demos.' }),
});

export const Alive = Type.Object({ status: Type.Literal('alive'), node: Type.String(), version: Type.String() });
export const Ready = Type.Object({
  status: Type.Literal('ready'),
  node: Type.String(),
  version: Type.String(),
  durability: Type.Object({
    mode: Type.Unsafe<Durability>({ type: 'string', enum: ['memory', 'everysec', 'always', 'unknown'] satisfies Durability[] }),
    meaning: Type.String(),
  }),
  redis: Type.Object({
    roundTripMs: Type.Number(),
    clockErrorMs: Type.Number(),
    runId: Type.Union([Type.String(), Type.Null()], {
      description: 'Of the server; shows get a new epoch when it changes. Null in a cluster, where every master has its own.',
    }),
  }),
});
