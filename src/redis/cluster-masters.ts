/** The masters of a cluster: which process each is, and whether every slot has one that replies. */
import { setTimeout as sleep } from 'node:timers/promises';
import calculateSlot from 'cluster-key-slot';
import type { Cluster, Redis } from 'ioredis';
import type { RedisTrouble } from '../domain/health.ts';
import { parseInfo, readRole } from './facts.ts';
import { silentMaster, troubleOf } from './states.ts';
import type { RedisStatus } from './status.ts';

const VERIFY_RETRY_MS = 250;

/** Returns why a cluster does not serve every slot, or null. */
async function clusterProblem(cluster: Cluster): Promise<RedisTrouble | null> {
  try {
    await new Promise<void>((resolve, reject) =>
      cluster.refreshSlotsCache((error) => (error ? reject(error) : resolve())),
    );
    const state = parseInfo(String(await cluster.cluster('INFO'))).cluster_state;
    if (state !== 'ok') return troubleOf(new Error(`cluster_state:${state}`));
    await Promise.all(cluster.nodes('master').map((master) => master.ping()));
    return null;
  } catch (error) {
    return silentMaster(error);
  }
}

export class ClusterMasters {
  readonly #status: RedisStatus;
  readonly #identities = new Map<string, string>();
  #cluster: Cluster | null = null;
  #isCurrent: () => boolean = () => false;
  #isStale = false;
  #isVerifying = false;

  constructor(status: RedisStatus) {
    this.#status = status;
  }

  watch(cluster: Cluster, isCurrent: () => boolean): void {
    this.#cluster = cluster;
    this.#isCurrent = isCurrent;
    cluster.on('node error', () => this.markStale());
    cluster.on('-node', () => this.markStale());
    cluster.on('+node', (node: Redis) => node.on('close', () => this.markStale()));
  }

  forget(): void {
    this.#identities.clear();
  }

  /** Returns the identity of the master that has a key; null while it is unknown. */
  async identityFor(key: string): Promise<string | null> {
    const cluster = this.#cluster as Cluster;
    const node = (cluster as unknown as { slots: string[][] }).slots[calculateSlot(key)]?.[0];
    if (!node) return null;
    const known = this.#identities.get(node);
    if (known) return known;
    const master = cluster.nodes('master').find(({ options }) => `${options.host}:${options.port}` === node);
    if (!master) {
      this.markStale();
      return null;
    }
    const { identity } = await readRole(master, true);
    if (identity !== null) this.#identities.set(node, identity);
    return identity;
  }

  /** A master may have died, returned or been replaced; the driver learns of it only by asking. */
  markStale(): void {
    this.#identities.clear();
    this.#isStale = true;
    if (!this.#isVerifying && this.#isOpen()) void this.#verify();
  }

  /** Notices masters that are silent. */
  async ping(cluster: Cluster): Promise<void> {
    try {
      await Promise.all(cluster.nodes('master').map((master) => master.ping()));
    } catch {
      this.markStale();
    }
  }

  #isOpen(): boolean {
    return this.#isCurrent() && this.#cluster?.status === 'ready';
  }

  /** Checks the cluster until every slot has a master that replies, or the connection is closed. */
  async #verify(): Promise<void> {
    this.#isVerifying = true;
    let problem: RedisTrouble | null = null;
    while ((this.#isStale || problem !== null) && this.#isOpen()) {
      this.#isStale = false;
      problem = await clusterProblem(this.#cluster as Cluster);
      this.#status.limit('cluster', problem);
      if (problem !== null) await sleep(VERIFY_RETRY_MS);
    }
    this.#isVerifying = false;
  }
}
