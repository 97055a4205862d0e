/** Everything Stampede is compared with, itself included. */
import { nats, nchan } from './foreign-peers.ts';
import { bareUws, plainWs, socketIo } from './node-peers.ts';
import type { Peer } from './peer.ts';
import { stampede } from './stampede.ts';

/** Stampede comes before the bare limit, which is told to send equal frames. */
export const PEERS: readonly Peer[] = [stampede, bareUws, nats, nchan, plainWs, socketIo];
