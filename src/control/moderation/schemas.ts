import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import { Count, Moment } from '../http/fields.ts';

const User = Type.String({ minLength: 1, maxLength: LIMITS.userIdCharsMax });

export const MuteBody = Type.Object(
  {
    forMs: Type.Integer({ minimum: LIMITS.muteMinMs, maximum: LIMITS.muteMaxMs, description: 'Milliseconds from now' }),
  },
  { additionalProperties: false },
);
export const MuteView = Type.Object({ user: User, until: Moment });
export const MuteList = Type.Object({ mutes: Type.Array(MuteView) });

export const ChatList = Type.Object({
  messages: Type.Array(
    Type.Object({
      id: Type.Integer({ minimum: 1 }),
      at: Moment,
      user: Type.String(),
      name: Type.String(),
      text: Type.String(),
      mark: Type.Integer({ description: '0 none, 1 buyer with an order, 2 moderator, 3 host' }),
    }),
    { description: `Oldest first, at most ${LIMITS.chatListedMax}` },
  ),
});

export const AudienceView = Type.Object({
  viewers: Type.Integer({ minimum: 0, description: 'Connected right now, over all nodes' }),
  peak: Type.Integer({ minimum: 0, description: 'The most there were at once' }),
  unique: Type.Integer({
    minimum: 0,
    description:
      'Different people with a token so far, estimated (standard error 0.81 %); guests have no name to tell them apart by',
  }),
  hearts: Count,
});
