/** Leaves the old primary when the sentinels announce a new one. */
import type { Redis } from 'ioredis';

const CHANNEL = '+switch-master';

/**
 * After a planned failover the sentinels demote the old primary only about ten seconds later. Until
 * then it accepts writes, which are lost. The driver's `failoverDetector` is not used: it ends
 * for good a client that is just connecting. `connectAll` returns new clients of sentinels.
 */
export function followSentinels(client: Redis, masterName: string, connectAll: () => Redis[]): void {
  let followed: Redis[] = [];
  function leave(): void {
    if (client.status === 'ready' || client.status === 'connect') client.disconnect(true);
    // It may be on its way to the old primary.
    else if (client.status === 'connecting') client.once('connect', () => client.disconnect(true));
  }
  function follow(sentinel: Redis): void {
    sentinel.on('message', (_channel, text: string) => {
      if (text.startsWith(`${masterName} `)) leave();
    });
    sentinel.subscribe(CHANNEL).catch(() => {});
  }
  client.on('connecting', () => {
    if (followed.length > 0) return;
    followed = connectAll();
    followed.forEach(follow);
  });
  client.on('end', () => {
    for (const sentinel of followed) sentinel.disconnect();
    followed = [];
  });
}
