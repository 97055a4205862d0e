import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import { Count, Id, Moment, Patterned, StrictObject } from '../http/fields.ts';

const User = Type.String({ minLength: 1, maxLength: LIMITS.userIdCharsMax });

export const Nothing = Type.Null({ description: 'Done' });
export const ChatParams = Type.Object({
  show: Id,
  message: Patterned('^[1-9][0-9]{0,14}$', 'the number of a chat message', { description: 'Id of a chat message' }),
});
export const MuteParams = Type.Object({
  show: Id,
  user: Type.String({ minLength: 1, maxLength: LIMITS.userIdCharsMax, description: 'The user of a token (`sub`)' }),
});

export const MuteBody = StrictObject({
  forMs: Type.Integer({ minimum: LIMITS.muteMinMs, maximum: LIMITS.muteMaxMs, description: 'Milliseconds from now' }),
});
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
  viewers: Type.Integer({ minimum: 0, description: 'Connected now, on all nodes' }),
  peak: Type.Integer({ minimum: 0, description: 'Most viewers at the same time' }),
  unique: Type.Integer({
    minimum: 0,
    description:
      'Different users so far, estimated (standard error 0.81 %); guests are not counted, because they have no id',
  }),
  hearts: Count,
});
