/** The only module that reads the process environment. */
import { LIMITS } from '../limits.ts';
import { SETTINGS } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export const environment = (): Environment => process.env;

// uWebSockets.js reads the largest request head from the environment when it is loaded. Its default
// of 4 KiB is too small for a token and cookies, so main.ts imports this module before the gateway.
process.env['UWS_HTTP_MAX_HEADERS_SIZE'] ??= String(LIMITS.requestHeadBytesMax);

/** Set by the supervisor for its gateway children: `1`, `2` ... Not a setting for users. */
const WORKER_VARIABLE = 'STAMPEDE_WORKER';

/** Returns the number of this gateway worker, or null in any other process. */
export function workerNumber(env: Environment = environment()): number | null {
  const raw = env[WORKER_VARIABLE];
  return raw !== undefined && /^\d{1,2}$/.test(raw) ? Number(raw) : null;
}

export interface WorkerSettings {
  readonly worker: number;
  /** Of an embedded Redis; null: as the environment says. */
  readonly redisUrl: string | null;
  readonly gatewayPort: number;
  readonly nodeName: string;
  readonly authSecret: string | null;
}

/** Returns the environment of a gateway child: ours, our flags, then the supervisor's values. */
export function workerEnvironment(
  settings: WorkerSettings,
  flagsAsVariables: Readonly<Record<string, string>>,
  env: Environment = environment(),
): Record<string, string> {
  const child: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) child[name] = value;
  Object.assign(child, flagsAsVariables, {
    [WORKER_VARIABLE]: String(settings.worker),
    [SETTINGS.roles.variable]: 'gateway',
    [SETTINGS.workers.variable]: '1',
    [SETTINGS.gatewayPort.variable]: String(settings.gatewayPort),
    [SETTINGS.nodeName.variable]: settings.nodeName,
  });
  if (settings.redisUrl !== null) child[SETTINGS.redisUrl.variable] = settings.redisUrl;
  if (settings.authSecret !== null) child[SETTINGS.authSecret.variable] = settings.authSecret;
  // The supervisor serves the metrics of all.
  delete child[SETTINGS.metricsPort.variable];
  // A gateway needs no API keys, and has the signing secret.
  for (const { variable } of [SETTINGS.apiKeys, SETTINGS.authSecret]) delete child[`${variable}_FILE`];
  delete child[SETTINGS.apiKeys.variable];
  return child;
}
