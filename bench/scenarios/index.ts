/** The scenarios, in the order of `--help`. */
import { archive } from './archive.ts';
import { capacity } from './capacity.ts';
import { chat } from './chat.ts';
import { compare } from './compare.ts';
import { connect } from './connect.ts';
import { control } from './control.ts';
import { events } from './events.ts';
import { expiry } from './expiry.ts';
import { hostile } from './hostile.ts';
import { ingest } from './ingest.ts';
import { lifecycle } from './lifecycle.ts';
import { reserveSockets } from './reserve-sockets.ts';
import { reserveStore } from './reserve-store.ts';
import { rush } from './rush.ts';
import type { Scenario } from './scenario.ts';
import { show } from './show.ts';
import { soak } from './soak.ts';
import { stalled } from './stalled.ts';
import { storm } from './storm.ts';

export const SCENARIOS: readonly Scenario[] = [
  connect,
  rush,
  show,
  storm,
  soak,
  lifecycle,
  capacity,
  control,
  chat,
  ingest,
  events,
  stalled,
  hostile,
  reserveStore,
  reserveSockets,
  expiry,
  archive,
  compare,
];
