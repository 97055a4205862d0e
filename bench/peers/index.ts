/** All servers of a comparison. */
import { nats, nchan } from './foreign-peers.ts';
import { bareUws, plainWs, socketIo } from './node-peers.ts';
import type { Peer } from './peer.ts';
import { stampede } from './stampede.ts';

/** Stampede runs before the bare server, which sends frames of the same size. */
export const PEERS: readonly Peer[] = [stampede, bareUws, nats, nchan, plainWs, socketIo];
