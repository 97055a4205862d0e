/** The workloads a worker knows, by name. */
import { night } from '../../night/night.ts';
import { receivers } from '../../peers/receivers.ts';
import type { Workload } from '../contract.ts';
import { audience } from './audience.ts';
import { ingest } from './ingest.ts';
import { otherNode } from './other-node.ts';

const ALL: ReadonlyArray<Workload<never, never, never>> = [audience, ingest, otherNode, night, receivers];

export const WORKLOADS: ReadonlyMap<string, Workload<never>> = new Map(
  ALL.map((workload) => [workload.name, workload]),
);
