/**
 * The connection to Redis: a client for commands, one for subscriptions, what the server is and
 * allows, its clock, and what is wrong with it. Commands are sent only while the server is
 * identified: another one means a restart or a failover, and `fence.lua` must run first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, type Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Durability, RedisCapabilities, RedisState, RedisTrouble } from '../domain/health.ts';
import type { RedisTarget } from '../domain/redis-target.ts';
import { LIMITS } from '../limits.ts';
import { type ClientRole, createClient, keepConnected, type RedisClient } from './client.ts';
import { clockServers, RedisClock } from './clock.ts';
import { ClusterMasters } from './cluster-masters.ts';
import { diagnose } from './diagnosis.ts';
import { keyIdentity, readDurability, readFacts, readRole, type ServerFacts } from './facts.ts';
import { refreshFormats } from './formats.ts';
import { fullness } from './full.ts';
import type { Keys } from './keys.ts';
import { chooseModes, explain, type ModeSettings, type ModesContext } from './modes.ts';
import { readOther } from './other-server.ts';
import { RELAY_KEPT_MS, RELAY_REFRESH_MS, refreshRelayMode } from './relay-mode.ts';
import { RelayProbe } from './relay-probe.ts';
import { FIRST_CHOICE, type ScriptModes } from './scripts.ts';
import {
  CLOSED_AT_ONCE,
  CLUSTER_INCOMPLETE,
  CLUSTER_WITHOUT_INFO,
  evicting,
  IS_REPLICA,
  LOST,
  NO_RELAY,
  TroubleError,
  tooOld,
  troubleOf,
} from './states.ts';
import { RedisStatus } from './status.ts';
import { Subscriber } from './subscriber.ts';

const VERSION_MIN = 7;
const RETRY_MS = 500;
/** How long a check that has begun may take when the connection is closed. */
const EXAMINATION_ENDS_MS = 1_000;
const WATCH_MS = 1_000;
/** A server that is silent for so long may have been replaced behind its name. */
const SILENT_MS = 1_000;
/** A message that Redis took and that is not back by then is lost. */
const ARRIVAL_MS_MAX = 4_000;

/** While these last, other commands may succeed. */
const LIMITING: ReadonlySet<RedisState> = new Set(['busy', 'too_few_replicas', 'disk_failing', 'full']);
/** Replies that say more about the server than about the command; it is examined again. */
const SUSPICIOUS: ReadonlySet<RedisState> = new Set([
  'no_permission',
  'missing_command',
  'other_relay',
  'wrong_password',
  'loading',
  'master_down',
  ...LIMITING,
]);
/** An attempt to connect that fails like this may have a cause that the driver did not see. */
const VAGUE: ReadonlySet<RedisState> = new Set(['lost', 'silent', 'unreachable']);

/** Returns why this server must not be used: it would refuse writes, lose them, or delete books. */
function unfitness({ version, isReplica, evictionPolicy }: ServerFacts): RedisTrouble | null {
  if (Number.parseInt(version, 10) < VERSION_MIN) return tooOld(version, VERSION_MIN);
  if (isReplica) return IS_REPLICA;
  if (evictionPolicy !== null && evictionPolicy !== 'noeviction') return evicting(evictionPolicy);
  return null;
}

export interface ConnectionOptions {
  readonly target: RedisTarget;
  readonly keys: Keys;
  readonly keyPrefix: string;
  readonly modes: ModeSettings;
  readonly runsJobs: boolean;
  readonly logger: Logger | undefined;
}

export class RedisConnection {
  readonly status: RedisStatus;
  readonly subscriber: Subscriber;
  readonly clock: RedisClock;
  readonly #options: ConnectionOptions;
  readonly #relay: RelayProbe;
  readonly #masters: ClusterMasters;
  #isCluster: boolean;
  #client: RedisClient;
  /** Of a single server. */
  #identity: string | null = null;
  /** Kept while the server is away, so that a new one is noticed. */
  #lastIdentity: string | null = null;
  #capabilities: RedisCapabilities | null = null;
  /** Why the current attempt to connect failed, or the connection is about to close. */
  #problem: RedisTrouble | null = null;
  #examination: Promise<void> | null = null;
  /** A process lives that does not know the newest format of shows. */
  keepsFormat = true;
  #isWatching = false;
  readonly #ending = new AbortController();
  #watches = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ConnectionOptions) {
    const { target, keys, modes, logger } = options;
    this.#options = options;
    this.status = new RedisStatus(logger);
    this.#isCluster = target.servers.length > 1 && target.sentinel === null;
    this.clock = new RedisClock(() => clockServers(this.#client), {
      onStep: (stepMs) => logger?.warn({ stepMs: Math.round(stepMs) }, 'Redis: its clock was stepped'),
    });
    this.#masters = new ClusterMasters(this.status);
    this.subscriber = new Subscriber(() => this.#createClient('subscriber'));
    if (modes.publish !== 'auto') this.subscriber.use(modes.publish);
    this.#relay = new RelayProbe(keys, this.subscriber);
    this.#client = this.#connect();
    this.#timer = setInterval(() => void this.#watch(), WATCH_MS);
    this.#timer.unref();
  }

  /** The current client: it is replaced if Redis turns out to be a cluster. */
  get client(): RedisClient {
    return this.#client;
  }

  get capabilities(): RedisCapabilities | null {
    return this.#capabilities;
  }

  get durability(): Durability {
    return this.#capabilities?.durability ?? 'unknown';
  }

  /** How scripts run and publish on this connection. */
  readonly modes = (): ScriptModes => this.#capabilities ?? FIRST_CHOICE;

  get #isClosing(): boolean {
    return this.#ending.signal.aborted;
  }

  runId(): string | null {
    return this.#identity;
  }

  /** Returns the identity of the server that has a key; null while it is unknown. */
  async runIdOf(key: string): Promise<string | null> {
    if (this.status.refusal !== null) return null;
    return this.#client instanceof Cluster ? this.#masters.identityFor(key) : this.#identity;
  }

  /** Asks the server again: another node saw another identity. */
  async confirmRunId(key: string): Promise<string | null> {
    if (this.#client instanceof Cluster) return this.runIdOf(key);
    await this.#identify(this.#client);
    return this.runIdOf(key);
  }

  /** Takes note of a failed call. What it says about the server is examined. */
  report(error: unknown): RedisTrouble {
    const trouble = troubleOf(error);
    if (trouble.state === 'replica') this.#leave(trouble);
    else if (trouble.state === 'cluster_incomplete') this.#masters.markStale();
    else if (SUSPICIOUS.has(trouble.state) && this.status.refusal === null) {
      // What is missing is named by the examination.
      if (trouble.state !== 'no_permission') this.#hold(trouble);
      this.#examine(this.#client);
    }
    return trouble;
  }

  async close(): Promise<void> {
    this.#ending.abort();
    this.status.end();
    this.clock.stop();
    clearInterval(this.#timer);
    // It removes what it has written.
    await Promise.race([this.#examination, sleep(EXAMINATION_ENDS_MS, undefined, { ref: false })]);
    await Promise.allSettled([this.#client.status === 'ready' ? this.#client.quit() : undefined]);
    this.#client.disconnect();
    this.subscriber.close();
  }

  #createClient(role: ClientRole): RedisClient {
    return createClient(this.#options.target, { role, isCluster: this.#isCluster });
  }

  #connect(): RedisClient {
    const client = this.#createClient('commands');
    const isCurrent = (): boolean => client === this.#client && !this.#isClosing;
    let hasConnected = false;
    let wasReady = false;
    client.on('connecting', () => {
      [hasConnected, wasReady] = [false, false];
      if (isCurrent()) this.#problem = null;
    });
    client.on('connect', () => {
      hasConnected = true;
    });
    const onError = (error: unknown): void => {
      if (!isCurrent()) return;
      this.#problem = troubleOf(error);
      if (!wasReady && !VAGUE.has(this.#problem.state)) this.status.refuse(this.#problem);
    };
    client.on('error', onError);
    client.on('node error', (error: unknown) => {
      if (this.status.refusal !== null) onError(error);
    });
    client.on('ready', () => {
      wasReady = true;
      if (isCurrent()) this.#examine(client);
    });
    client.on('close', () => {
      if (!isCurrent()) return;
      const unready = client instanceof Cluster ? CLUSTER_INCOMPLETE : CLOSED_AT_ONCE;
      const trouble = this.#problem ?? (hasConnected && !wasReady ? unready : LOST);
      if (wasReady || !VAGUE.has(trouble.state)) return this.#lose(trouble);
      void diagnose(this.#options.target).then((found) => {
        if (isCurrent() && client.status !== 'ready') this.#lose(found ?? trouble);
      });
    });
    if (client instanceof Cluster) this.#masters.watch(client, isCurrent);
    keepConnected(client, isCurrent);
    return client;
  }

  /** The connection is closed. The driver connects again. */
  #lose(trouble: RedisTrouble): void {
    this.#identity = null;
    this.#masters.forget();
    this.status.refuse(trouble);
  }

  /** Drops the connection to a server that was demoted: the name is resolved again. */
  #leave(trouble: RedisTrouble): void {
    const client = this.#client;
    this.#problem = trouble;
    if (client instanceof Cluster) return this.#masters.markStale();
    this.#identity = null;
    this.status.refuse(trouble);
    if (client.status === 'ready') client.disconnect(true);
    this.subscriber.reconnect();
  }

  /** Continues as a client of a cluster, or of a single server. */
  #replaceClient(isCluster: boolean): void {
    const previous = this.#client;
    this.#isCluster = isCluster;
    this.#identity = null;
    this.#client = this.#connect();
    previous.disconnect();
    this.subscriber.replaceClient();
  }

  /** While a trouble lasts, commands are refused, or only reported as limited. */
  #hold(trouble: RedisTrouble): void {
    const isLimited = LIMITING.has(trouble.state) && (this.#identity !== null || this.#isCluster);
    if (isLimited && this.status.refusal === null) this.status.limit('calls', trouble);
    else this.status.refuse(trouble);
  }

  /**
   * Examines the server until it can be used or the connection is closed: a reply may be lost, a
   * replica promoted, a setting or a permission corrected.
   */
  #examine(client: RedisClient): void {
    this.#examination ??= this.#examineUntilUsable(client).finally(() => {
      this.#examination = null;
      // It was replaced, or closed and opened again, meanwhile.
      if (!this.#isClosing && this.#client.status === 'ready' && this.status.refusal !== null)
        this.#examine(this.#client);
    });
  }

  async #examineUntilUsable(client: RedisClient): Promise<void> {
    const isOpen = (): boolean => client === this.#client && client.status === 'ready' && !this.#isClosing;
    while (isOpen()) {
      try {
        // A database that could not be selected leaves the connection in another one.
        if (this.#problem?.state === 'wrong_db') throw new TroubleError(this.#problem);
        await this.#accept(client, isOpen);
        break;
      } catch (error) {
        if (!isOpen()) break;
        const trouble = explain(error, this.#modesContext(client));
        this.#hold(trouble);
        await sleep(RETRY_MS);
        if (isOpen() && ['replica', 'wrong_db'].includes(trouble.state)) client.disconnect(true);
      }
    }
  }

  async #accept(client: RedisClient, isOpen: () => boolean): Promise<void> {
    const servers = client instanceof Cluster ? client.nodes('master') : [client];
    const all = await Promise.all(servers.map(readFacts));
    const [facts] = all;
    if (facts === undefined || !isOpen()) return;
    if (facts.isCluster && !(client instanceof Cluster)) return this.#replaceClient(true);
    const problem = all.map(unfitness).find((found) => found !== null);
    if (problem) throw new TroubleError(problem);
    if (facts.isCluster && facts.identity === null) throw new TroubleError(CLUSTER_WITHOUT_INFO);
    const modes = await chooseModes(this.#modesContext(client, facts.identity !== null), this.#capabilities);
    await this.#register(client, modes.publish);
    const durability = await readDurability(servers[0] as never, facts.hasAppendOnlyFile);
    if (this.status.refusal !== null) await this.clock.restart();
    this.#capabilities = Object.freeze({
      server: facts.label,
      isCluster: facts.isCluster,
      identity: facts.identity === null ? 'key' : 'info',
      ...modes,
      durability,
      evictionPolicy: facts.evictionPolicy,
    } as const);
    if (!(client instanceof Cluster))
      this.#setIdentity(facts.identity ?? (await keyIdentity(client, this.#options.keys.server)));
    const full = await fullness(client, this.#options.keys.format(LIMITS.showFormat), RELAY_KEPT_MS);
    if (isOpen()) this.status.accept(this.#capabilities, full);
    // It is used, and examined again.
    if (full !== null) throw new TroubleError(full);
  }

  /** Makes this process one of those that live. */
  async #register(client: RedisClient, publish: ScriptModes['publish']): Promise<void> {
    await refreshRelayMode(client, this.#options.keys.relay, publish);
    this.keepsFormat = await refreshFormats(client, this.#options.keys);
  }

  #modesContext(client: RedisClient, hasInfo = true): ModesContext {
    const { keys, keyPrefix, modes: settings, runsJobs, target } = this.#options;
    const user = target.username ?? 'default';
    return { client, relay: this.#relay, keys, keyPrefix, user, settings, runsJobs, needsKeyIdentity: !hasInfo };
  }

  #setIdentity(identity: string): void {
    this.#identity = identity;
    if (this.#lastIdentity === identity) return;
    // The subscriber may still be connected to the server that was the primary.
    if (this.#lastIdentity !== null) this.subscriber.reconnect();
    this.#lastIdentity = identity;
  }

  /** Finds out whether this server is still the same one, and the primary. */
  async #identify(client: Exclude<RedisClient, Cluster>): Promise<void> {
    const role = await readRole(client, this.#capabilities?.identity === 'info');
    if (client !== this.#client || this.status.refusal !== null) return;
    if (role.isReplica) return this.#leave(IS_REPLICA);
    const identity = role.identity ?? (await keyIdentity(client, this.#options.keys.server));
    if (this.#identity !== null) this.#setIdentity(identity);
  }

  /** Resolves the name again on another connection, and moves if a new primary replies there. */
  async #findOther(client: RedisClient): Promise<void> {
    if (client instanceof Cluster) return;
    const known = this.#identity;
    const other = this.#createClient('commands').on('error', () => {}) as Redis;
    const { isReplica, identity } = await readOther(other, this.#capabilities?.identity !== 'key', this.#ending.signal);
    const isOther = identity !== null && identity !== known && !isReplica;
    if (isOther && client === this.#client && this.#identity === known && !this.#isClosing) this.#leave(LOST);
  }

  /**
   * Notices what no command would: a primary that was demoted, a server that was replaced behind a
   * proxy, a subscription that is silent, a connection whose other end is gone.
   */
  async #watch(): Promise<void> {
    const client = this.#client;
    if (this.#isWatching || this.status.refusal !== null || client.status !== 'ready') return;
    this.#isWatching = true;
    // A server that is silent may be frozen, or its host gone, and another one the primary.
    const silent = setTimeout(() => void this.#findOther(client).catch(() => {}), SILENT_MS);
    try {
      if (client instanceof Cluster) await this.#masters.ping(client);
      else await this.#identify(client);
      if (this.#watches++ % (RELAY_REFRESH_MS / WATCH_MS) === 0) await this.#register(client, this.subscriber.publish);
      await this.#watchRelay(client);
    } catch (error) {
      this.report(error);
    }
    clearTimeout(silent);
    this.#isWatching = false;
  }

  async #watchRelay(client: RedisClient): Promise<void> {
    const hasArrived = await this.#relay.roundTrip(client, ARRIVAL_MS_MAX);
    if (client !== this.#client || this.status.refusal !== null) return;
    if (hasArrived) return this.status.limit('relay', null);
    // The user may have lost the permission to subscribe.
    const context = this.#modesContext(client);
    const trouble = await chooseModes(context, this.#capabilities).then(
      () => NO_RELAY,
      (error: unknown) => explain(error, context),
    );
    this.status.limit('relay', trouble);
    this.subscriber.reconnect();
  }
}

/** How long the first reply may take until Redis counts as unavailable. */
export const FIRST_REPLY_MS_MAX = LIMITS.redisCommandTimeoutMs;
