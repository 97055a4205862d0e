/** The viewers of one worker: tokens, schedules, and which of all viewers belong to this worker. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Role } from '../../src/protocol/messages.ts';
import type { WireVariant } from '../scenarios/common-flags.ts';
import type { Access, GatewayAddress } from '../scenarios/target.ts';
import { tokenMaker, VARIANTS } from './access.ts';
import type { Shard, WorkloadContext } from './contract.ts';
import { FrameCache } from './frame-cache.ts';
import { Pacer, type Schedule } from './schedule.ts';
import type { Room, Viewer } from './viewer.ts';

export interface GroupParams {
  readonly gateway: GatewayAddress;
  readonly show: string;
  readonly access: Access;
  readonly variant: WireVariant;
  /** In all workers together. User i belongs to worker i mod the number of workers. */
  readonly users: number;
  /** Every `measureEvery`-th user measures the delivery of each message. */
  readonly measureEvery: number;
}

/** Tokens are signed in slices, so that the worker stays responsive. */
const TOKENS_A_SLICE = 500;

/** `M` is what a workload keeps for each user of its shard. */
export class ViewerGroup<M> {
  readonly members: M[] = [];
  readonly room: Room;
  /** Nothing new begins. */
  isOver = false;
  readonly #context: WorkloadContext<GroupParams, never>;
  readonly #shard: Shard;
  readonly #pacers: Pacer[] = [];

  constructor(context: WorkloadContext<GroupParams, never>, make: (userIndex: number, room: Room) => M, shard?: Shard) {
    const { gateway, show, variant, users } = context.params;
    this.#context = context;
    this.#shard = shard ?? context.shard;
    this.room = { gateway, show, variant: VARIANTS[variant], frames: new FrameCache() };
    for (let userIndex = this.#shard.index; userIndex < users; userIndex += this.#shard.of)
      this.members.push(make(userIndex, this.room));
  }

  async makeTokens(role: Role, viewerOf: (member: M) => Viewer): Promise<void> {
    const { access, show } = this.#context.params;
    const tokenOf = tokenMaker(access, show, role);
    for (const [i, member] of this.members.entries()) {
      const viewer = viewerOf(member);
      viewer.token = tokenOf(viewer.userIndex);
      if (i % TOKENS_A_SLICE === 0) await sleep(0);
    }
  }

  /** Undefined when the user belongs to another worker. */
  own(userIndex: number): M | undefined {
    const { index, of } = this.#shard;
    return userIndex % of === index ? this.members[(userIndex - index) / of] : undefined;
  }

  pace(schedule: Schedule | readonly number[], atMs: number, emit: (dueMs: number, index: number) => void): void {
    if (this.isOver) return;
    this.#pacers.push(new Pacer('next' in schedule ? schedule : schedule.values(), atMs, this.#context.nowMs, emit));
  }

  stopSchedules(): void {
    for (const pacer of this.#pacers) pacer.stop();
  }

  sum(of: (member: M) => number): number {
    return this.members.reduce((total, member) => total + of(member), 0);
  }

  countClose(code: number): void {
    this.#context.recorder.refused(code >= 400 && code < 600 ? `http_${code}` : `closed_${code}`);
  }

  async until(withinMs: number, holds: () => boolean): Promise<void> {
    const untilMs = this.#context.nowMs() + withinMs;
    while (!holds() && this.#context.nowMs() < untilMs) await sleep(10);
  }
}
