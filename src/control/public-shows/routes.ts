import { LIMITS } from '../../limits.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { unwrap } from '../http/routing.ts';
import { cachedList, isKnown } from './cached-list.ts';
import { NotModified, PublicShowList } from './schemas.ts';

const { operation } = operationsOf('public');

export const publicShows: Resource = {
  tags: [{ name: 'public', description: 'What anyone may read' }],
  schemas: [],
  register(app, { store }) {
    const list = cachedList(async () => ({ shows: unwrap(await store.publicShows()) }), LIMITS.publicShowsEveryMs);
    app.get(
      '/public/shows',
      operation({
        summary: 'List public shows: live ones, and the next to start',
        description:
          'Shows with the visibility `public` that have not ended, for pages of any origin. The list is made at ' +
          `most once per second; \`Date\` is the time of the server. At most ${LIMITS.publicShowsMax} shows.`,
        open: true,
        response: { 200: PublicShowList, 304: NotModified },
      }),
      async (request, reply) => {
        const { body, etag } = await list();
        reply
          .header('cache-control', `public, max-age=${LIMITS.publicShowsMaxAgeSeconds}`)
          .header('etag', etag)
          .header('access-control-allow-origin', '*')
          .header('access-control-expose-headers', 'date, etag');
        if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send(undefined as never);
        // Encoded once for all, so it is sent as it is.
        return reply.type('application/json').send(body as never);
      },
    );
  },
};
