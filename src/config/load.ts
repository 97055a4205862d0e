/**
 * From environment and flags to one frozen `Config`, or to the list of everything that is wrong
 * with them.
 */
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ENGINE_ROLES, type EngineRole, type LogLevel, SETTINGS, type Setting } from './settings.ts';
import type { TlsFiles } from './tls.ts';
import { readTls } from './tls.ts';

export interface Config {
  readonly roles: readonly EngineRole[];
  /** Gateway processes on this host; more than one are supervised children. */
  readonly workers: number;
  readonly host: string;
  readonly gatewayPort: number;
  readonly controlPort: number;
  readonly publicGatewayUrl: string | null;
  /** null: the engine starts its own redis-server below `dataDir`. */
  readonly redisUrl: string | null;
  readonly keyPrefix: string;
  readonly appendfsync: 'everysec' | 'always';
  readonly dataDir: string;
  /**
   * null only with an embedded Redis (`ensureSecrets` makes one) or where public keys check the
   * tokens.
   */
  readonly authSecret: string | null;
  /** PEM texts. */
  readonly authPublicKeys: readonly string[];
  /** By name; null only with an embedded Redis or without the control role. */
  readonly apiKeys: Readonly<Record<string, string>> | null;
  /** null: any origin. */
  readonly allowedOrigins: readonly string[] | null;
  /** null: any origin; empty: none. */
  readonly corsOrigins: readonly string[] | null;
  /** Addresses and CIDR networks of proxies that may say whom they forward. */
  readonly trustedProxies: readonly string[];
  /** null: the gateway speaks plain HTTP and WebSocket. The files were read and fit together. */
  readonly tls: TlsFiles | null;
  /** Per gateway process. */
  readonly connectionsMax: number;
  readonly connectionsPerAddress: number;
  readonly joinsPerSecond: number;
  readonly chatPerSecond: number;
  readonly requestsPerSecond: number;
  readonly demoTokens: boolean;
  readonly nodeName: string;
  readonly logLevel: LogLevel;
}

/** One thing that is wrong: which variable or flag, and what it may be. */
export interface Mistake {
  readonly where: string;
  readonly problem: string;
}

/** A command's own flags beside the settings; `placeholder` null = a switch without a value. */
export type OwnFlags = Readonly<Record<string, { readonly placeholder: string | null }>>;

export interface LoadOptions {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly own?: OwnFlags;
  /**
   * What the configuration is for: `serve` needs every secret its roles use, `token` the signing
   * secret, `inspect` only Redis.
   */
  readonly purpose?: 'serve' | 'token' | 'inspect';
  readonly readFile?: (path: string) => string;
}

export type Loaded =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly own: Readonly<Record<string, string | true>>;
      /**
       * The settings that came as flags, written as variables: what a child process needs to read
       * the same configuration.
       */
      readonly flagsAsVariables: Readonly<Record<string, string>>;
    }
  | { readonly ok: false; readonly mistakes: readonly Mistake[] };

/**
 * Reads every setting (a flag wins over its variable; an empty variable counts as absent) and
 * answers with all mistakes at once.
 */
export function loadConfig(options: LoadOptions): Loaded {
  const mistakes: Mistake[] = [];
  const flags = readFlags(options.argv, options.own ?? {}, mistakes);
  const read = <T>(setting: Setting<T>): T => {
    const flag = setting.flag === null ? undefined : flags.settings.get(setting.flag);
    const raw = flag ?? options.env[setting.variable];
    if (raw === undefined || (flag === undefined && raw === '')) return setting.fallback;
    const parsed = setting.parse(raw);
    if ('value' in parsed) return parsed.value;
    const where = flag === undefined ? setting.variable : `--${setting.flag}`;
    mistakes.push({ where, problem: `${parsed.problem}. Allowed: ${setting.range}.` });
    return setting.fallback;
  };

  const readFile = options.readFile ?? ((path: string) => readFileSync(path, 'utf8'));
  const serves = (options.purpose ?? 'serve') === 'serve';
  const tlsAsked = {
    certFile: read(SETTINGS.tlsCertFile),
    keyFile: read(SETTINGS.tlsKeyFile),
    passphrase: read(SETTINGS.tlsKeyPassphrase),
  };
  const config: Config = {
    redisUrl: read(SETTINGS.redisUrl),
    keyPrefix: read(SETTINGS.keyPrefix),
    roles: read(SETTINGS.roles),
    workers: read(SETTINGS.workers),
    host: read(SETTINGS.host),
    gatewayPort: read(SETTINGS.gatewayPort),
    controlPort: read(SETTINGS.controlPort),
    publicGatewayUrl: read(SETTINGS.publicGatewayUrl),
    allowedOrigins: read(SETTINGS.allowedOrigins),
    corsOrigins: read(SETTINGS.corsOrigins),
    authSecret: read(SETTINGS.authSecret),
    authPublicKeys: readPublicKeys(read(SETTINGS.authPublicKeys), readFile, mistakes),
    apiKeys: read(SETTINGS.apiKeys),
    dataDir: resolve(read(SETTINGS.dataDir)),
    appendfsync: read(SETTINGS.appendfsync),
    trustedProxies: read(SETTINGS.trustedProxies),
    tls: serves ? readTls(tlsAsked, readFile, (where, problem) => mistakes.push({ where, problem })) : null,
    connectionsMax: read(SETTINGS.connectionsMax),
    connectionsPerAddress: read(SETTINGS.connectionsPerAddress),
    joinsPerSecond: read(SETTINGS.joinsPerSecond),
    chatPerSecond: read(SETTINGS.chatPerSecond),
    requestsPerSecond: read(SETTINGS.requestsPerSecond),
    demoTokens: read(SETTINGS.demoTokens),
    nodeName: read(SETTINGS.nodeName),
    logLevel: read(SETTINGS.logLevel),
  };
  // A rule between two settings is only asked when each was understood: one slip must not read as
  // two.
  if (mistakes.length === 0) mistakes.push(...relationMistakes(config, options.purpose ?? 'serve'));
  if (mistakes.length > 0) return { ok: false, mistakes };
  return {
    ok: true,
    config: Object.freeze({ ...config, roles: inOrder(config.roles) }),
    own: flags.own,
    flagsAsVariables: asVariables(flags.settings),
  };
}

function asVariables(flags: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const variables: Record<string, string> = {};
  for (const { flag, variable } of Object.values(SETTINGS)) {
    const raw = flag === null ? undefined : flags.get(flag);
    if (raw !== undefined) variables[variable] = raw;
  }
  return Object.freeze(variables);
}

/** As the CLI prints them: one mistake a line. */
export function mistakesText(mistakes: readonly Mistake[]): string {
  return mistakes.map(({ where, problem }) => `  ${where}: ${problem}`).join('\n');
}

const inOrder = (roles: readonly EngineRole[]): readonly EngineRole[] =>
  Object.freeze(ENGINE_ROLES.filter((role) => roles.includes(role)));

function relationMistakes(config: Config, purpose: 'serve' | 'token' | 'inspect'): Mistake[] {
  const found: Mistake[] = [];
  const say = (where: string, problem: string): void => void found.push({ where, problem });
  const shared = config.redisUrl !== null;
  if (purpose === 'token' && shared && config.authSecret === null)
    say('AUTH_SECRET', 'is needed to sign a token. Allowed: at least 32 bytes.');
  if (purpose !== 'serve') return found;

  const has = (role: EngineRole): boolean => config.roles.includes(role);
  if (!shared && config.roles.length < ENGINE_ROLES.length)
    say(
      'REDIS_URL',
      `is needed when roles run apart (ROLES=${config.roles.join(',')}): an embedded Redis serves one process and its workers.`,
    );
  if (config.workers > 1 && !has('gateway'))
    say('WORKERS', 'counts gateway processes, so ROLES must include gateway or WORKERS be 1.');
  if (config.gatewayPort !== 0 && config.gatewayPort === config.controlPort && has('gateway') && has('control'))
    say('CONTROL_PORT', `must differ from GATEWAY_PORT (${config.gatewayPort}).`);
  if (shared && (has('gateway') || has('control')) && config.authSecret === null && config.authPublicKeys.length === 0)
    say(
      'AUTH_SECRET',
      'or AUTH_PUBLIC_KEYS is needed with REDIS_URL, and must be the same in every process. Allowed: at least 32 bytes.',
    );
  if (shared && has('control') && config.apiKeys === null)
    say(
      'API_KEYS',
      'is needed with REDIS_URL for the control role. Allowed: comma-separated name:secret, each secret 16 to 256 characters.',
    );
  return found;
}

function readPublicKeys(
  paths: readonly string[],
  readFile: (path: string) => string,
  mistakes: Mistake[],
): readonly string[] {
  const pems: string[] = [];
  for (const path of paths) {
    const say = (problem: string): void =>
      void mistakes.push({ where: SETTINGS.authPublicKeys.variable, problem: `${path} ${problem}` });
    try {
      const pem = readFile(path);
      if (/PRIVATE KEY/.test(pem)) {
        say('is a private key: give its public half.');
        continue;
      }
      createPublicKey(pem);
      pems.push(pem);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? '';
      say(/^E[A-Z]+$/.test(code) ? `cannot be read (${code}).` : 'is not a PEM public key.');
    }
  }
  return Object.freeze(pems);
}

interface Flags {
  readonly settings: ReadonlyMap<string, string>;
  readonly own: Readonly<Record<string, string | true>>;
}

const SETTING_FLAGS: ReadonlySet<string> = new Set(
  Object.values(SETTINGS).flatMap(({ flag }) => (flag === null ? [] : [flag])),
);

function readFlags(argv: readonly string[], own: OwnFlags, mistakes: Mistake[]): Flags {
  const options: Record<string, { type: 'string' | 'boolean' }> = {};
  for (const flag of SETTING_FLAGS) options[flag] = { type: 'string' };
  for (const [flag, { placeholder }] of Object.entries(own))
    options[flag] = { type: placeholder === null ? 'boolean' : 'string' };
  // Not strict: the library stops at the first mistake, and we name them all.
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true, allowPositionals: true });

  const settings = new Map<string, string>();
  const ownValues: Record<string, string | true> = {};
  for (const token of tokens) {
    if (token.kind === 'positional')
      mistakes.push({
        where: JSON.stringify(token.value),
        problem: 'is not expected here: settings are given as --flag value.',
      });
    if (token.kind !== 'option') continue;
    const known = options[token.name];
    if (!known)
      mistakes.push({
        where: token.rawName,
        problem: `is not a flag of this command${secretFlagHint(token.name)}. See --help.`,
      });
    else if (known.type === 'string' && (token.value === undefined || token.value === ''))
      mistakes.push({ where: token.rawName, problem: 'needs a value.' });
    else if (known.type === 'string' && !token.inlineValue && token.value?.startsWith('--'))
      mistakes.push({ where: token.rawName, problem: `needs a value, and ${token.value} looks like the next flag.` });
    else if (known.type === 'boolean' && token.value !== undefined)
      mistakes.push({ where: token.rawName, problem: 'takes no value.' });
    else if (SETTING_FLAGS.has(token.name)) settings.set(token.name, token.value ?? '');
    else ownValues[token.name] = token.value ?? true;
  }
  return { settings, own: Object.freeze(ownValues) };
}

function secretFlagHint(flag: string): string {
  const variable = flag.replaceAll('-', '_').toUpperCase();
  const secret = Object.values(SETTINGS).some((entry) => entry.flag === null && entry.variable === variable);
  return secret ? ` (secrets come from the environment only: set ${variable})` : '';
}
