import { Type } from 'typebox';
import type { ErasureReport, ErasureRest } from '../../domain/erasure.ts';
import { LIMITS } from '../../limits.ts';
import { Count, Moment, MomentOrNull } from '../http/fields.ts';

export const UserParams = Type.Object({
  user: Type.String({ minLength: 1, maxLength: LIMITS.userIdCharsMax, description: 'The user of a token (`sub`)' }),
});

const REASONS: Record<ErasureRest['reason'], string> = {
  hold_open: 'the user has an open hold, which may be paid now; `until`: when it ends at the latest',
  archiving: 'the show is being archived',
  failed: 'Redis or the disk failed',
  archive_missing:
    'the archive is not in ARCHIVE_DIR, or another one has its place; put it back and repeat the request',
  archive_damaged: 'the archive cannot be read or proven; restore it from a backup and repeat the request',
  unreadable: 'records name the user and cannot be decoded',
  responses: 'Redis may not be scanned; recorded responses end within 24 hours',
};

export const Erasure = Type.Object({
  state: Type.Unsafe<ErasureReport['state']>({
    type: 'string',
    enum: ['running', 'waiting', 'done', 'incomplete'],
    description:
      'waiting: what remains is tried again every minute. incomplete: the erasure ended, and what remains is not ' +
      'tried again; fix it and repeat the request',
  }),
  message: Type.String({ description: 'What the state means and what to do, for people' }),
  requestedAt: Moment,
  finishedAt: MomentOrNull,
  shows: Type.Integer({
    minimum: 0,
    description: 'Shows in Redis that named the user, also if they were deleted meanwhile',
  }),
  archives: Type.Integer({ minimum: 0, description: 'Archives that were written again' }),
  messages: Type.Integer({ minimum: 0, description: 'Chat messages of the history' }),
  reservations: Count,
  ledgerEntries: Count,
  waits: Type.Integer({ minimum: 0, description: 'Waitlist entries that were removed' }),
  mutes: Count,
  commands: Type.Integer({ minimum: 0, description: 'Recorded results of commands' }),
  remaining: Type.Array(
    Type.Object({
      show: Type.Union([Type.String(), Type.Null()]),
      reason: Type.Unsafe<ErasureRest['reason']>({
        type: 'string',
        enum: Object.keys(REASONS),
        description: Object.entries(REASONS)
          .map(([reason, why]) => `${reason}: ${why}`)
          .join('. '),
      }),
      retried: Type.Boolean(),
      until: Type.Optional(Moment),
    }),
    { description: 'What could not be erased' },
  ),
});
