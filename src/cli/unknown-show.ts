/** The error text for a show that does not exist: what was searched, and which shows are there. */
import { counted } from '../domain/counted.ts';
import type { ConnectedStore } from '../redis/index.ts';

const NAMED_MAX = 5;

/** Returns the number of inserted, removed and replaced characters between two ids. */
function editDistance(one: string, other: string): number {
  let row = [...Array(other.length + 1).keys()];
  for (const [i, character] of [...one].entries()) {
    const above = row;
    row = [i + 1];
    for (let j = 0; j < other.length; j++)
      row.push(
        Math.min((above[j] ?? 0) + (other[j] === character ? 0 : 1), (above[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1),
      );
  }
  return row[other.length] ?? 0;
}

export async function unknownShow(store: ConnectedStore, show: string, place: string): Promise<string> {
  const text = `There is no show "${show}" in ${place}.`;
  const listed = await store.listShows();
  if (!listed.ok) return text;
  const ids = listed.value.shows.map(({ id }) => id);
  if (ids.length === 0)
    return `${text} No show has this prefix: check REDIS_URL or DATA_DIR, the database number and KEY_PREFIX.`;
  const known = ids.map((id) => ({ id, changes: editDistance(show.toLowerCase(), id.toLowerCase()) }));
  const [nearest] = known.sort((a, b) => a.changes - b.changes);
  const isTypo = nearest !== undefined && nearest.changes <= Math.max(2, show.length / 3);
  const meant = isTypo ? ` Did you mean ${nearest.id}?` : '';
  const rest = ids.length > NAMED_MAX ? ` and ${counted(ids.length - NAMED_MAX, 'other')}` : '';
  return `${text}${meant} Newest shows there: ${ids.slice(0, NAMED_MAX).join(', ')}${rest}.`;
}
