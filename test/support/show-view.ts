/** A live show as viewers see it, for tests that need one and do not care which. */
import type { ShowView } from '../../src/protocol/messages.ts';

export const showView = (more: Partial<ShowView> = {}): ShowView => ({
  id: 'show',
  title: 'S',
  state: 'live',
  startsAt: null,
  guests: true,
  slowModeMs: 0,
  chatShownPerSecond: 0,
  brands: [],
  pinned: null,
  createdAt: 0,
  ...more,
});
