/**
 * The line to Redis: one client for commands, one for subscriptions, the server's identity, its
 * clock, and what is wrong with it. Commands go out only while the run id of the server is known: a
 * new one means a restart or a failover, and `fence.lua` must see it first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import calculateSlot from 'cluster-key-slot';
import { Cluster, type Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Durability } from '../domain/health.ts';
import { LIMITS } from '../limits.ts';
import { failure, StampedeError } from '../protocol/codes.ts';
import { RedisClock } from './clock.ts';
import { connect, type RedisClient } from './connection.ts';
import { loadScripts } from './scripts.ts';

/** Server facts from INFO, by field. */
type Info = Readonly<Record<string, string>>;

const parseInfo = (text: string): Info =>
  Object.fromEntries(
    text
      .split('\r\n')
      .filter((line) => line.includes(':') && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );

const VERSION_MIN = 7;
const IDENTIFY_RETRY_MS = 500;
const VERIFY_RETRY_MS = 250;
const SUBSCRIBER_PULSE_MS = 5_000;

/** What keeps a cluster from serving every slot, or null. */
async function gapOf(cluster: Cluster): Promise<string | null> {
  try {
    await new Promise<void>((resolve, reject) =>
      cluster.refreshSlotsCache((error) => (error ? reject(error) : resolve())),
    );
    const state = parseInfo(String(await cluster.cluster('INFO'))).cluster_state;
    if (state !== 'ok') return `the cluster does not serve every slot (cluster_state:${state})`;
    await Promise.all(cluster.nodes('master').map((master) => master.ping()));
    return null;
  } catch (error) {
    return `a cluster node does not answer (${error instanceof Error ? error.message : 'unknown error'})`;
  }
}

export class RedisLink {
  readonly client: RedisClient;
  readonly subscriber: RedisClient;
  readonly clock: RedisClock;
  readonly #logger: Logger | undefined;
  /** Run id by node; '' stands for the one server of a standalone Redis. */
  readonly #runIds = new Map<string, string>();
  #trouble: string | null = 'Redis has not answered yet';
  /** What a cluster lacks while the rest of it serves. */
  #gap: string | null = null;
  #doubted = false;
  #verifying = false;
  #durability: Durability = 'unknown';
  #closing = false;
  #pulse: NodeJS.Timeout | undefined;

  constructor(url: string, logger: Logger | undefined) {
    this.#logger = logger;
    this.client = connect(url);
    // A subscription outlives a broken line; commands of a subscriber wait for the line instead of
    // failing.
    this.subscriber = connect(url, { waits: true });
    this.clock = new RedisClock(async () => (await this.client.time()) as [number | string, number | string]);
    this.#watch();
  }

  /**
   * Resolves when Redis answered or its absence is known; rejects when it answers but must not be
   * used.
   */
  async open(): Promise<void> {
    const first = new Promise<void>((resolve, reject) => {
      this.client.on('ready', () => void this.#identifyUntilKnown(reject).then(resolve));
      this.client.once('error', () => setTimeout(resolve, 0));
      // A server that takes the connection and says nothing must not keep the engine from starting.
      setTimeout(resolve, LIMITS.redisCommandTimeoutMs).unref();
    });
    this.client.connect().catch(() => {});
    this.subscriber.connect().catch(() => {});
    await first;
    // A subscriber asks nothing by itself: without a question its driver would never find out that
    // the line is dead.
    this.#pulse = setInterval(() => {
      if (this.subscriber.status === 'ready') this.subscriber.ping().catch(() => {});
    }, SUBSCRIBER_PULSE_MS);
    this.#pulse.unref();
  }

  trouble(): string | null {
    return this.#trouble ?? this.#gap;
  }

  /**
   * Why nothing may be sent at all. While part of a cluster is away, the shows of the other masters
   * go on.
   */
  refusal(): string | null {
    return this.#trouble;
  }

  durability(): Durability {
    return this.#durability;
  }

  runId(): string | null {
    return this.#runIds.get('') ?? null;
  }

  /** The run id of the server that holds a key; null while it is not known. */
  async runIdOf(key: string): Promise<string | null> {
    if (!(this.client instanceof Cluster)) return this.runId();
    const node = (this.client as unknown as { slots: string[][] }).slots[calculateSlot(key)]?.[0];
    if (!node) return null;
    const known = this.#runIds.get(node);
    if (known) return known;
    const master = this.client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === node);
    if (!master) {
      this.#doubt();
      return null;
    }
    const runId = parseInfo(await master.info('server')).run_id ?? null;
    if (runId) this.#runIds.set(node, runId);
    return runId;
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.clock.stop();
    clearInterval(this.#pulse);
    await Promise.allSettled([this.client.status === 'ready' ? this.client.quit() : undefined]);
    this.client.disconnect();
    this.subscriber.disconnect();
  }

  #watch(): void {
    const lost = (why: string) => (): void => {
      if (this.#closing) return;
      if (this.#trouble === null) this.#logger?.warn(`Redis: ${why}`);
      this.#runIds.clear();
      this.#trouble = `Redis: ${why}`;
    };
    this.client.on('close', lost('the connection is closed'));
    this.client.on('error', (error: Error) => {
      if (this.#trouble !== null) this.#trouble = `Redis: ${error.message || error.name}`;
    });
    this.client.on('node error', () => this.#doubt());
    this.client.on('-node', () => this.#doubt());
    this.client.on('+node', (node: Redis) => node.on('close', () => this.#doubt()));
    this.subscriber.on('error', () => {});
  }

  /**
   * A master may have died, come back or been replaced. The driver learns of it by asking; nothing
   * would be asked of a master that it does not know.
   */
  #doubt(): void {
    this.#runIds.clear();
    this.#doubted = true;
    if (!this.#verifying && this.client instanceof Cluster && this.client.status === 'ready')
      void this.#verify(this.client);
  }

  /** Until every slot has a master that answers, or the line to the whole cluster is gone. */
  async #verify(cluster: Cluster): Promise<void> {
    this.#verifying = true;
    while ((this.#doubted || this.#gap !== null) && !this.#closing && cluster.status === 'ready') {
      this.#doubted = false;
      const gap = await gapOf(cluster);
      if (gap !== null && this.#gap === null) this.#logger?.warn(`Redis: ${gap}`);
      if (gap === null && this.#gap !== null) this.#logger?.info('Redis: every slot has a master again');
      this.#gap = gap === null ? null : `Redis: ${gap}`;
      if (gap !== null) await sleep(VERIFY_RETRY_MS);
    }
    this.#verifying = false;
  }

  /**
   * One lost answer must not leave a standing line unused, and a replica may be promoted or a
   * setting put right while it stands: asks again until the server is known and fit, or the line is
   * gone. `onUnfit` hears why it must not be used.
   */
  async #identifyUntilKnown(onUnfit: (error: StampedeError) => void): Promise<void> {
    while (!this.#closing && this.client.status === 'ready') {
      try {
        await this.#identify();
        return;
      } catch (error) {
        if (error instanceof StampedeError) onUnfit(error);
        await sleep(IDENTIFY_RETRY_MS);
      }
    }
  }

  async #identify(): Promise<void> {
    const info = parseInfo(await this.client.info());
    const problem = (await this.#unsuitable(info)) ?? null;
    if (problem) {
      if (this.#trouble !== problem) this.#logger?.error({ reason: problem }, 'this Redis must not be used');
      this.#trouble = problem;
      this.#runIds.clear();
      throw new StampedeError(failure('redis_readonly', problem));
    }
    await this.clock.restart();
    if (!(this.client instanceof Cluster) && info.run_id) this.#runIds.set('', info.run_id);
    // Whatever part of a cluster was missing: it says that it is whole, or it would not be ready.
    this.#gap = null;
    if (this.#trouble !== null)
      this.#logger?.info({ redis: info.redis_version, durability: this.#durability }, 'Redis is ready');
    this.#trouble = null;
  }

  /** A replica would refuse or lose writes; an eviction policy would silently delete books. */
  async #unsuitable(info: Info): Promise<string | undefined> {
    if (Number.parseInt(info.redis_version ?? '0', 10) < VERSION_MIN)
      return `Redis ${info.redis_version} is too old: Stampede needs ${VERSION_MIN}.0 or newer`;
    if (info.role === 'slave') return 'this Redis is a replica: REDIS_URL must name the primary';
    if (info.maxmemory_policy && info.maxmemory_policy !== 'noeviction') {
      return `maxmemory-policy is ${info.maxmemory_policy}: Redis would delete books under pressure. Set it to noeviction`;
    }
    this.#durability = info.aof_enabled === '1' ? await this.#appendMode() : 'memory';
    return this.#scriptless();
  }

  /**
   * Why this server will never have our scripts. What keeps it from them for now (it is full, or
   * busy) the first call will say.
   */
  async #scriptless(): Promise<string | undefined> {
    try {
      await loadScripts(this.client);
      return undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!/NOPERM|unknown command|unknown subcommand/i.test(reason)) return undefined;
      return `this Redis refuses the engine's functions (${reason}): let its user run FUNCTION LIST, LOAD and DELETE, and FCALL`;
    }
  }

  async #appendMode(): Promise<Durability> {
    try {
      const [, mode] = (await this.client.config('GET', 'appendfsync')) as string[];
      return mode === 'always' || mode === 'everysec' ? mode : 'memory';
    } catch {
      return 'unknown'; // managed Redis may forbid CONFIG
    }
  }
}
