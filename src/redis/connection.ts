/**
 * The connection to Redis: a client for commands, one for subscriptions, the server's identity, its
 * clock, and what is wrong with it. Commands are sent only while the run id of the server is known:
 * a new one means a restart or a failover, and `fence.lua` must run first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import calculateSlot from 'cluster-key-slot';
import { Cluster, type Redis } from 'ioredis';
import type { Logger } from 'pino';
import { type Durability, type RedisCapabilities, type RedisTrouble, troubleText } from '../domain/health.ts';
import type { RedisTarget } from '../domain/redis-target.ts';
import { LIMITS } from '../limits.ts';
import { failure, StampedeError } from '../protocol/codes.ts';
import { createClient, type RedisClient } from './client.ts';
import { clockServers, RedisClock } from './clock.ts';
import { FIRST_CHOICE, loadScripts, type ScriptModes } from './scripts.ts';
import { CONNECTING, evicting, IS_REPLICA, LOST, tooOld, troubleOf, wordsOf } from './states.ts';
import { Subscriber } from './subscriber.ts';

/** Fields of INFO. */
type Info = Readonly<Record<string, string>>;

function parseInfo(text: string): Info {
  const fields = text.split('\r\n').filter((line) => line.includes(':') && !line.startsWith('#'));
  return Object.fromEntries(
    fields.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

const VERSION_MIN = 7;
const IDENTIFY_RETRY_MS = 500;
const VERIFY_RETRY_MS = 250;
const SUBSCRIBER_PING_MS = 5_000;

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
    return { ...troubleOf(new Error('CLUSTERDOWN')), reason: `A cluster node does not reply (${wordsOf(error)}).` };
  }
}

/** Returns why this server must not be used: it would refuse writes, lose them, or delete books. */
function misconfiguration(info: Info): RedisTrouble | null {
  const { redis_version = '0', role, maxmemory_policy: policy = 'noeviction' } = info;
  if (Number.parseInt(redis_version, 10) < VERSION_MIN) return tooOld(redis_version, VERSION_MIN);
  if (role === 'slave') return IS_REPLICA;
  if (policy !== 'noeviction') return evicting(policy);
  return null;
}

export class RedisConnection {
  readonly client: RedisClient;
  readonly subscriber: Subscriber;
  readonly clock: RedisClock;
  readonly #logger: Logger | undefined;
  /** Run id by node; '' is the one server of a standalone Redis. */
  readonly #runIds = new Map<string, string>();
  #trouble: RedisTrouble | null = CONNECTING;
  /** What a part of a cluster lacks while the rest serves. */
  #clusterTrouble: RedisTrouble | null = null;
  #isStale = false;
  #isVerifying = false;
  #capabilities: RedisCapabilities | null = null;
  readonly #modes: ScriptModes;
  #isClosing = false;
  #pingTimer: NodeJS.Timeout | undefined;

  constructor(target: RedisTarget, logger: Logger | undefined, modes: ScriptModes = FIRST_CHOICE) {
    this.#logger = logger;
    this.#modes = modes;
    const isCluster = target.servers.length > 1 && target.sentinel === null;
    this.client = createClient(target, { role: 'commands', isCluster });
    this.subscriber = new Subscriber(createClient(target, { role: 'subscriber', isCluster }), modes.publish);
    this.clock = new RedisClock(() => clockServers(this.client), {
      onStep: (stepMs) => logger?.warn({ stepMs: Math.round(stepMs) }, 'Redis: its clock was stepped'),
    });
    this.#watch();
  }

  /**
   * Resolves when Redis replied, or is known to be unavailable. Rejects when it replied but must
   * not be used.
   */
  async open(): Promise<void> {
    const first = new Promise<void>((resolve, reject) => {
      this.client.on('ready', () => void this.#identifyWithRetries(reject).then(resolve));
      this.client.once('error', () => setTimeout(resolve, 0));
      // The engine must start even if the server accepts the connection and never replies.
      setTimeout(resolve, LIMITS.redisCommandTimeoutMs).unref();
    });
    this.client.connect().catch(() => {});
    this.subscriber.client.connect().catch(() => {});
    await first;
    if (this.#trouble !== null) this.#logger?.warn(this.#trouble, 'Redis is unavailable: connecting again');
    // A subscriber sends nothing by itself, so without a ping a dead connection is never noticed.
    this.#pingTimer = setInterval(() => {
      const { client } = this.subscriber;
      if (client.status === 'ready') client.ping().catch(() => {});
    }, SUBSCRIBER_PING_MS);
    this.#pingTimer.unref();
  }

  trouble(): RedisTrouble | null {
    return this.#trouble ?? this.#clusterTrouble;
  }

  /** Returns why no command may be sent. Shows on other masters of a cluster continue. */
  refusal(): RedisTrouble | null {
    return this.#trouble;
  }

  durability(): Durability {
    return this.#capabilities?.durability ?? 'unknown';
  }

  capabilities(): RedisCapabilities | null {
    return this.#capabilities;
  }

  /** How scripts run and publish on this connection. */
  readonly modes = (): ScriptModes => this.#modes;

  runId(): string | null {
    return this.#runIds.get('') ?? null;
  }

  /** Returns the run id of the server that has a key; null while it is unknown. */
  async runIdOf(key: string): Promise<string | null> {
    if (!(this.client instanceof Cluster)) return this.runId();
    const node = (this.client as unknown as { slots: string[][] }).slots[calculateSlot(key)]?.[0];
    if (!node) return null;
    const known = this.#runIds.get(node);
    if (known) return known;
    const master = this.client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === node);
    if (!master) {
      this.#markStale();
      return null;
    }
    const runId = parseInfo(await master.info('server')).run_id ?? null;
    if (runId) this.#runIds.set(node, runId);
    return runId;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.clock.stop();
    clearInterval(this.#pingTimer);
    await Promise.allSettled([this.client.status === 'ready' ? this.client.quit() : undefined]);
    this.client.disconnect();
    this.subscriber.close();
  }

  #watch(): void {
    this.client.on('close', () => {
      if (this.#isClosing) return;
      if (this.#trouble === null) this.#logger?.warn('Redis: the connection is closed');
      this.#runIds.clear();
      // A failed attempt has set the reason, for example ECONNREFUSED.
      this.#trouble ??= LOST;
    });
    this.client.on('error', (error: Error) => {
      if (this.#trouble !== null) this.#trouble = troubleOf(error);
    });
    this.client.on('node error', () => this.#markStale());
    this.client.on('-node', () => this.#markStale());
    this.client.on('+node', (node: Redis) => node.on('close', () => this.#markStale()));
    this.subscriber.client.on('error', () => {});
  }

  /** A master may have died, returned or been replaced; the driver learns of it only by asking. */
  #markStale(): void {
    this.#runIds.clear();
    this.#isStale = true;
    if (!this.#isVerifying && this.client instanceof Cluster && this.client.status === 'ready')
      void this.#verify(this.client);
  }

  /** Checks the cluster until every slot has a master that replies, or the connection is closed. */
  async #verify(cluster: Cluster): Promise<void> {
    this.#isVerifying = true;
    while ((this.#isStale || this.#clusterTrouble !== null) && !this.#isClosing && cluster.status === 'ready') {
      this.#isStale = false;
      const problem = await clusterProblem(cluster);
      if (problem !== null && this.#clusterTrouble === null)
        this.#logger?.warn(problem, 'Redis is unavailable in parts');
      if (problem === null && this.#clusterTrouble !== null) this.#logger?.info('Redis: every slot has a master again');
      this.#clusterTrouble = problem;
      if (problem !== null) await sleep(VERIFY_RETRY_MS);
    }
    this.#isVerifying = false;
  }

  /**
   * Retries until the server is identified and usable, or the connection is closed: a reply may be
   * lost, a replica promoted, a setting corrected. `onUnsuitable` receives the reason.
   */
  async #identifyWithRetries(onUnsuitable: (error: StampedeError) => void): Promise<void> {
    while (!this.#isClosing && this.client.status === 'ready') {
      try {
        await this.#identify();
        return;
      } catch (error) {
        if (error instanceof StampedeError) onUnsuitable(error);
        await sleep(IDENTIFY_RETRY_MS);
      }
    }
  }

  async #identify(): Promise<void> {
    const info = parseInfo(await this.client.info());
    const problem = misconfiguration(info) ?? (await this.#missingPermission());
    if (problem !== null) {
      if (this.#trouble?.reason !== problem.reason) this.#logger?.error(problem, 'this Redis must not be used');
      this.#trouble = problem;
      this.#runIds.clear();
      throw new StampedeError(failure('redis_readonly', troubleText(problem)));
    }
    this.#capabilities = Object.freeze({
      server: `Redis ${info.redis_version}`,
      isCluster: this.client instanceof Cluster,
      identity: 'info',
      ...this.#modes,
      durability: info.aof_enabled === '1' ? await this.#appendMode() : 'memory',
      evictionPolicy: info.maxmemory_policy ?? null,
    } as const);
    await this.clock.restart();
    if (!(this.client instanceof Cluster) && info.run_id) this.#runIds.set('', info.run_id);
    // A cluster is ready only when it serves every slot.
    this.#clusterTrouble = null;
    if (this.#trouble !== null) this.#logger?.info(this.#capabilities, 'Redis is ready');
    this.#trouble = null;
  }

  /**
   * Returns why this server never accepts our scripts. A temporary reason (out of memory, busy) is
   * reported by the first call.
   */
  async #missingPermission(): Promise<RedisTrouble | null> {
    try {
      await loadScripts(this.client, this.#modes);
      return null;
    } catch (error) {
      const trouble = troubleOf(error);
      if (trouble.state !== 'no_permission' && trouble.state !== 'missing_command') return null;
      return { ...trouble, remedy: 'Allow its user FUNCTION LIST, LOAD, DELETE and FCALL.' };
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
