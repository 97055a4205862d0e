/** The fan-out core: rooms, lanes and intakes. It knows neither the socket server nor Redis; both come through ports. */
export type { Listener, Member } from './audience.ts';
export { type Clock, systemClock } from './clock.ts';
export { type EncodeCounts, encodeFor, newEncodeCounts, type OutgoingFrame } from './frames.ts';
export { MessagePackWriter } from './msgpack-bytes.ts';
export type { ChatBatch, ChatEntry, Commit, Counts, RelayListener, RelayMessage, RoomSnapshot, ShowLog } from './ports.ts';
export type { Position } from './resume.ts';
export { type DecisionReceiver, type FanoutStats, Room, type RoomStore } from './room.ts';
export { Rooms } from './rooms.ts';
export { laneOf, type Publisher, type Seats, type TopicLane } from './seats.ts';
export { Spreader } from './spreader.ts';
export { newBucket, type Rate, type Rates, rateOf, type TokenBucket, take } from './token-bucket.ts';
export type { PersonalWelcome } from './welcome.ts';
