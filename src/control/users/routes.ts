import { ERASURE_COUNTS, type ErasureReport } from '../../domain/erasure.ts';
import { checkStoredUser } from '../../domain/viewer.ts';
import { StampedeError } from '../../protocol/codes.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { closingSignal, refusal, unwrap } from '../http/routing.ts';
import { Erasure, UserParams } from './schemas.ts';

const { operation } = operationsOf('users');

export const users: Resource = {
  tags: [{ name: 'users', description: 'The personal data of a user, over all shows' }],
  schemas: [],
  register(app, { erasures }) {
    const signal = closingSignal(app);
    app.delete(
      '/users/:user',
      operation({
        summary: 'Erase a user from all shows and archives',
        description:
          'Removes their chat, waitlist entries and connections. Orders, the ledger and archives keep a pseudonym, ' +
          'another one in each show, so that they still add up. 202: it takes longer, or this process stops, and ' +
          'goes on; read GET …/erasure. The erasure waits until open holds end. incomplete: something in ' +
          '`remaining` needs you first; then repeat the request. The sha256 of an archive changes with an erasure. ' +
          'An unknown user is not an error: all counts are 0, and `message` says that no data was found. Encode the ' +
          'id as in a URL (`%20` for a blank); any id that a token of an earlier release may have had is accepted. ' +
          'It is refused (overloaded) while a process of release 0.1.0 runs. Stop minting tokens for this user ' +
          'before you send this request.',
        params: UserParams,
        response: { 200: Erasure, 202: Erasure },
        errors: ['archive_failed', 'overloaded', 'unsupported_media_type', 'frame_too_large'],
      }),
      async ({ params: { user } }, reply) => {
        const wrong = checkStoredUser(user);
        if (wrong) throw new StampedeError(wrong);
        const report = unwrap(await erasures.erase(user, signal));
        reply.code(report.finishedAt === null ? 202 : 200);
        return bodyOf(user, report);
      },
    );
    app.get(
      '/users/:user/erasure',
      operation({
        summary: 'Get what the erasure of a user did',
        description: 'For 24 hours after its end.',
        params: UserParams,
        response: { 200: Erasure },
        errors: ['not_found'],
      }),
      async ({ params: { user } }) => {
        const report = unwrap(await erasures.report(user));
        if (report === null) throw refusal('not_found', 'No erasure of this user runs or has ended within 24 hours.');
        return bodyOf(user, report);
      },
    );
  },
};

const bodyOf = (user: string, report: ErasureReport) => ({
  ...report,
  message: messageOf(user, report),
  remaining: [...report.remaining],
});

function messageOf(user: string, { state, ...report }: ErasureReport): string {
  switch (state) {
    case 'running':
      return `The erasure is running. GET /v1/users/${encodeURIComponent(user)}/erasure reports its result.`;
    case 'waiting':
      return 'Some data cannot be erased yet: see `remaining`. It is tried again every minute.';
    case 'incomplete':
      return 'Some data was not erased: see `remaining`. Fix the cause and repeat the request.';
    case 'done':
      return ERASURE_COUNTS.every((name) => report[name] === 0)
        ? 'No data found: no show, archive or recorded result names this user.'
        : 'All data of this user that was found is erased.';
  }
}
