import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import { ROLES, type Role } from '../../protocol/messages.ts';
import { Id, Moment, Name, StrictObject, Title } from '../http/fields.ts';
import { ShowStateName } from '../shows/schemas.ts';

export const NewToken = StrictObject({
  user: Type.String({ minLength: 1, maxLength: LIMITS.userIdCharsMax, description: 'Your id of this user' }),
  name: Type.String({ minLength: 1, maxLength: LIMITS.nameCharsMax, description: 'Shown in chat' }),
  role: Type.Unsafe<Role>({ type: 'string', enum: [...ROLES] }),
  ttlSeconds: Type.Optional(
    Type.Integer({
      minimum: LIMITS.tokenTtlSecondsMin,
      maximum: LIMITS.tokenTtlSecondsMax,
      default: LIMITS.tokenTtlSecondsDefault,
    }),
  ),
});
export const NewDemoToken = StrictObject({ name: Name });
export const Token = Type.Object({ token: Type.String(), expiresAt: Moment, user: Type.String() });

export const Watch = Type.Object({
  gatewayUrl: Type.String({ description: 'WebSocket address of the gateway; append /v1/shows/{show}' }),
  show: Type.Object({ id: Id, title: Title, state: ShowStateName }),
  guests: Type.Boolean({ description: 'May viewers without a token watch?' }),
  demoTokens: Type.Boolean({ description: 'Can a page mint a buyer token without an API key? Only in demos.' }),
});
