/** The workloads a worker knows, by name. */
import { evening } from '../../evening/workload.ts';
import { receivers } from '../../peers/receivers.ts';
import type { Workload } from '../contract.ts';
import { ingest } from './ingest.ts';
import { otherNode } from './other-node.ts';
import { viewers } from './viewers.ts';

const ALL: ReadonlyArray<Workload<never, never, never>> = [viewers, ingest, otherNode, evening, receivers];
export const WORKLOADS: ReadonlyMap<string, Workload<never>> = new Map(ALL.map((one) => [one.name, one]));
