/** The one place that touches the process environment. */
import { LIMITS } from '../limits.ts';
import { SETTINGS } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export const environment = (): Environment => process.env;

// uWebSockets.js asks the environment, when it is loaded, how large a request head may be; by
// itself it says 4 KiB, which a token and a browser's cookies exceed. So this module has to be
// imported before the gateway, as main.ts does.
process.env['UWS_HTTP_MAX_HEADERS_SIZE'] ??= String(LIMITS.requestHeadBytesMax);

/**
 * Set by the supervisor for its gateway children: `1`, `2` ... Not a setting: a person never sets
 * it.
 */
const WORKER_VARIABLE = 'STAMPEDE_WORKER';

/** Which gateway worker this process is, null when it is none. */
export function workerNumber(env: Environment = environment()): number | null {
  const raw = env[WORKER_VARIABLE];
  return raw !== undefined && /^\d{1,2}$/.test(raw) ? Number(raw) : null;
}

export interface WorkerSettings {
  readonly worker: number;
  readonly redisUrl: string;
  readonly gatewayPort: number;
  readonly nodeName: string;
  readonly authSecret: string | null;
}

/**
 * The environment of a gateway child, which gets no flags: ours, our flags as variables, then what
 * the supervisor already decided.
 */
export function workerEnvironment(
  settings: WorkerSettings,
  flagsAsVariables: Readonly<Record<string, string>>,
  env: Environment = environment(),
): Record<string, string> {
  const child: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) child[name] = value;
  Object.assign(child, flagsAsVariables, {
    [WORKER_VARIABLE]: String(settings.worker),
    [SETTINGS.redisUrl.variable]: settings.redisUrl,
    [SETTINGS.roles.variable]: 'gateway',
    [SETTINGS.workers.variable]: '1',
    [SETTINGS.gatewayPort.variable]: String(settings.gatewayPort),
    [SETTINGS.nodeName.variable]: settings.nodeName,
  });
  if (settings.authSecret !== null) child[SETTINGS.authSecret.variable] = settings.authSecret;
  // A gateway needs no API keys; a secret that is not there cannot leak.
  delete child[SETTINGS.apiKeys.variable];
  return child;
}
