/**
 * How the nodes of one installation publish to the relay: they must agree, because a node receives
 * nothing that is published in the other mode. A key names the mode that live nodes use; each of
 * them refreshes it, and it expires after the last one ended.
 */
import type { RedisCapabilities } from '../domain/health.ts';
import type { RedisClient } from './client.ts';

export type PublishMode = RedisCapabilities['publish'];

export const RELAY_KEPT_MS = 15_000;
const REFRESH_MS = 5_000;

export class RelayMode {
  readonly #client: () => RedisClient;
  readonly #key: string;
  readonly #onOther: (found: PublishMode) => void;
  #timer: NodeJS.Timeout | undefined;

  /** `onOther` is called when other nodes use another mode, for example after Redis was away. */
  constructor(client: () => RedisClient, key: string, onOther: (found: PublishMode) => void) {
    this.#client = client;
    this.#key = key;
    this.#onOther = onOther;
  }

  /**
   * Returns the mode that live nodes use. If none lives, that is `wanted`. If it is `wanted`, this
   * node is one of them until `leave`.
   */
  async join(wanted: PublishMode): Promise<PublishMode> {
    this.leave();
    const used = await this.#refresh(wanted);
    if (used !== wanted) return used;
    this.#timer = setInterval(async () => {
      const found = await this.#refresh(wanted).catch(() => wanted);
      if (found !== wanted) this.#onOther(found);
    }, REFRESH_MS).unref();
    return wanted;
  }

  leave(): void {
    clearInterval(this.#timer);
  }

  async #refresh(wanted: PublishMode): Promise<PublishMode> {
    const client = this.#client();
    if ((await client.set(this.#key, wanted, 'PX', RELAY_KEPT_MS, 'NX')) === 'OK') return wanted;
    const found = await client.get(this.#key);
    if (found !== null && found !== wanted) return found as PublishMode;
    await client.pexpire(this.#key, RELAY_KEPT_MS);
    return wanted;
  }
}
