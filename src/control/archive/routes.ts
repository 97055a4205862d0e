import { setTimeout as sleep } from 'node:timers/promises';
import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import type { StampedeError } from '../../protocol/codes.ts';
import type { ShowView } from '../../protocol/messages.ts';
import { EmptyBody } from '../http/fields.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { closingSignal, refusal, unwrap } from '../http/routing.ts';
import { endingSales } from '../http/sale-listener.ts';
import { ArchiveSummary, Archiving, DeletedWithoutFiles, DeleteQuery, summaryView } from './schemas.ts';

const { showOperation } = operationsOf('archive');

export const archive: Resource = {
  tags: [{ name: 'archive', description: 'The end of a show: archived in files, and deleted' }],
  schemas: [],
  register(app, deps) {
    const { store, archives } = deps;
    const signal = closingSignal(app);
    app.post(
      '/shows/:show/archive',
      showOperation({
        summary: 'Archive an ended show now',
        description:
          'Writes ledger, orders, events and a summary to ARCHIVE_DIR, proves them, and deletes the show from Redis. ' +
          'Chat is not archived. ' +
          'A show that is not over, or has open holds, is refused. 202: it takes longer, or this process stops; ' +
          'repeat the request without its key, or read GET …/archive. Archiving an archived show changes nothing. ' +
          '`archive_conflict`: `details.folder` is in the place of the archive and belongs to another show, for ' +
          'example one with this id that was deleted.',
        body: EmptyBody,
        response: { 200: ArchiveSummary, 202: Archiving },
        errors: ['illegal_move', 'overloaded', 'archive_failed', 'archive_conflict'],
      }),
      async (request, reply) => {
        const { show } = request.params;
        const work = archives.archive(show);
        const deadline = sleep(LIMITS.archiveReplyMs, null, { ref: false, signal }).catch(() => null);
        const done = await Promise.race([work, deadline]);
        const archived = done === null ? null : unwrap(done);
        if (archived?.state === 'archived') return summaryView(archived.summary);
        reply.code(202);
        return { show, state: 'archiving' as const };
      },
    );
    app.get(
      '/shows/:show/archive',
      showOperation({
        summary: 'Get the summary of an archived show',
        description: '`not_archived`: `details` has the state of the show and, once it has ended, `archiveAt`.',
        response: { 200: ArchiveSummary },
        errors: ['not_archived'],
      }),
      async (request) => {
        const { show } = request.params;
        const summary = unwrap(await store.archiveOf(show));
        if (summary !== null) return summaryView(summary);
        const view = unwrap(await store.getShow(show));
        throw notArchived(view, unwrap(await archives.archiveAt(view)));
      },
    );
    app.delete(
      '/shows/:show',
      showOperation({
        summary: 'Delete a show and its archive',
        description:
          'At once and for good. A live show is refused, an ended one with open holds (`illegal_move`), and an ' +
          'archived one whose files are not in ARCHIVE_DIR (`archive_failed`). With `?force=true` three more are ' +
          'deleted: a show with open holds, one whose files are elsewhere (they stay there), and a live show of ' +
          'which a key in Redis has another type. ' +
          '`archive_conflict`: ARCHIVE_DIR has a folder for this id, which belongs to another show or to none in ' +
          'Redis. Delete it yourself, or move it away. `illegal_move` also for an import that is under way or died: ' +
          '`details.removedAt` says when what it left is removed.',
        querystring: DeleteQuery,
        response: { 200: DeletedWithoutFiles, 204: Type.Null() },
        errors: [
          'illegal_move',
          'overloaded',
          'archive_failed',
          'archive_conflict',
          'unsupported_media_type',
          'frame_too_large',
        ],
      }),
      async (request, reply) => {
        const { show } = request.params;
        const force = request.query.force === 'true';
        const remove = async () => unwrap(await archives.remove(show, { force }));
        const { files } = await endingSales(deps, request, show, remove);
        if (force && files === 'missing') return { show, files };
        reply.code(204);
        return null;
      },
    );
  },
};

function notArchived({ id, state }: ShowView, archiveAt: number | null): StampedeError {
  const path = `/v1/shows/${id}`;
  const next =
    archiveAt === null
      ? `The show is ${state}. End it first: POST ${path}/end.`
      : `It is archived after ${new Date(archiveAt).toISOString()}, when no hold is open. ` +
        `POST ${path}/archive archives it at once.`;
  return refusal('not_archived', `The show is not archived yet. ${next}`, { details: { state, archiveAt } });
}
