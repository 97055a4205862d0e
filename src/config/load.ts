/** Reads environment and flags into one frozen `Config`, or returns all their errors. */
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { RedisTarget } from '../domain/redis-target.ts';
import { LIMITS } from '../limits.ts';
import { type ConfigError, readCommandLine } from './command-line.ts';
import { type ArchiveFolder, archiveFolderProblem } from './data-folder.ts';
import { commandWithSettings, type OwnFlags } from './help.ts';
import { fileVariable, rawValue } from './raw-values.ts';
import { REDIS_PARTS, readRedis } from './redis.ts';
import { ENGINE_ROLES, SETTINGS, type Setting, type SettingName } from './settings.ts';
import { readTls, type TlsFiles } from './tls.ts';
import { unknownVariables } from './unknown-variables.ts';

type Values = { readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends Setting<infer Value> ? Value : never };

/** Settings that the configuration has in another form. */
const PARTS = [...REDIS_PARTS, 'archiveDir', 'tlsCertFile', 'tlsKeyFile', 'tlsKeyPassphrase'] as const;
type PartName = (typeof PARTS)[number];
const isPart = (name: string): boolean => PARTS.some((part) => part === name);

/** The value of every setting, see `SETTINGS`. null means: not set, or any origin. */
export interface Config extends Omit<Values, PartName>, ArchiveFolder {
  /** null: an embedded Redis in `dataDir`. */
  readonly redis: RedisTarget | null;
  /** PEM texts, read from the files. */
  readonly authPublicKeys: readonly string[];
  /** null: the gateway serves plain HTTP and WebSocket. */
  readonly tls: TlsFiles | null;
}

export type ReportError = (source: string, problem: string) => void;
export type ReadFile = (path: string) => string;

export interface LoadOptions {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly own?: OwnFlags;
  /** Whether words that are not flags are expected; the caller checks them. */
  readonly takesOperands?: boolean;
  /** `serve` needs all secrets of its roles, `token` the signing secret, `inspect` only Redis. */
  readonly purpose?: 'serve' | 'token' | 'inspect';
}

export type Loaded =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly own: Readonly<Record<string, string | true>>;
      readonly operands: readonly string[];
      /** The settings given as flags, as variables, so that child processes read the same. */
      readonly flagsAsVariables: Readonly<Record<string, string>>;
      /** What was ignored or changed, and variables that look like misspelled settings. */
      readonly warnings: readonly ConfigError[];
    }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

/** A flag overrides its variable. An empty variable counts as not set. */
export function loadConfig({ argv, env, own = {}, takesOperands = false, purpose = 'serve' }: LoadOptions): Loaded {
  const errors: ConfigError[] = [];
  const warnings: ConfigError[] = [];
  const given = new Map<string, string>();
  const report: ReportError = (source, problem) =>
    void errors.push({ source: given.get(source) ?? source, problem: withRange(source, problem) });
  // Other commands use few settings: a warning of each would hide their output.
  const warn: ReportError = (source, problem) => void (purpose === 'serve' && warnings.push({ source, problem }));
  const readFile: ReadFile = (path) => readFileSync(path, 'utf8');
  const flags = readFlags(argv, own, takesOperands, report);
  for (const flag of flags.settings.keys()) given.set(variableOf(flag), `--${flag}`);

  const read = (setting: Setting<unknown>): unknown => {
    const raw = rawValue(setting, { flags: flags.settings, env, readFile, report, warn });
    if (raw === null || raw === '') return setting.fallback;
    const parsed = setting.parse(raw);
    if ('value' in parsed) return parsed.value;
    report(setting.variable, parsed.problem);
    return setting.fallback;
  };
  const entries = Object.entries(SETTINGS).map(([name, setting]) => [name, read(setting)] as const);
  const values = Object.fromEntries(entries) as Values;
  const others = Object.fromEntries(entries.filter(([name]) => !isPart(name))) as Omit<Values, PartName>;

  const tlsPaths = { certFile: values.tlsCertFile, keyFile: values.tlsKeyFile, passphrase: values.tlsKeyPassphrase };
  const config: Config = Object.freeze({
    ...others,
    redis: readRedis(values, readFile, report),
    roles: Object.freeze(ENGINE_ROLES.filter((role) => values.roles.includes(role))),
    dataDir: resolve(values.dataDir),
    archiveDir: resolve(values.archiveDir ?? join(values.dataDir, 'archive')),
    isArchiveDirDefault: values.archiveDir === null,
    authPublicKeys: readPublicKeys(values.authPublicKeys, readFile, report),
    tls: purpose === 'serve' ? readTls(tlsPaths, readFile, report) : null,
  });
  // Relations are checked between valid values only: this avoids reporting one error twice.
  if (errors.length === 0) checkRelations(config, purpose, report);
  if (purpose === 'serve') checkArchiveFolder(config, report, warn);
  const unknown = unknownVariables(env, KNOWN_VARIABLES).map(({ variable: source, meant }) => {
    return { source, problem: `is not a setting and is ignored.${meant === null ? '' : ` Did you mean ${meant}?`}` };
  });
  if (errors.length > 0) return { ok: false, errors: [...errors, ...unknown] };
  warnings.push(...unknown);
  if (purpose === 'serve') warnOfSettings(config, env, warn);
  const flagsAsVariables = asVariables(flags.settings);
  return {
    ok: true,
    config,
    own: flags.own,
    operands: flags.operands,
    flagsAsVariables,
    warnings: Object.freeze(warnings),
  };
}

const ALL: ReadonlyArray<Setting<unknown>> = Object.values(SETTINGS);
const KNOWN_VARIABLES: ReadonlySet<string> = new Set(
  ALL.flatMap((setting) => (setting.mayBeFile ? [setting.variable, fileVariable(setting)] : [setting.variable])),
);
const variableOf = (flag: string): string => ALL.find((setting) => setting.flag === flag)?.variable ?? flag;

/** Returns the problem as a sentence, with the allowed values if the source is a setting. */
function withRange(source: string, problem: string): string {
  const range = ALL.find(({ variable }) => variable === source)?.range;
  return `${problem.replace(/\.$/, '')}.${range === undefined ? '' : ` Allowed: ${range}.`}`;
}

/** Warns of settings that have no effect beside the others, or an unusual one. */
function warnOfSettings({ redis, metricsPort, retention }: Config, env: LoadOptions['env'], warn: ReportError): void {
  const isSet = ({ variable }: Setting<unknown>): boolean => (env[variable] ?? '').trim() !== '';
  if (redis !== null && isSet(SETTINGS.appendfsync))
    warn('APPENDFSYNC', 'has no effect with REDIS_URL. Set appendfsync in the configuration of that Redis.');
  if (redis !== null && isSet(SETTINGS.maxMemory))
    warn('MAXMEMORY', 'has no effect with REDIS_URL. Set maxmemory in the configuration of that Redis.');
  if (retention < LIMITS.retentionUsualMinMs)
    warn('RETENTION', 'is shorter than an hour: so soon after its end a show leaves Redis, and its chat is deleted.');
  if (metricsPort === null && isSet(SETTINGS.metricsHost)) warn('METRICS_HOST', 'has no effect without METRICS_PORT.');
}

/**
 * A process that archives does not start with a wrong ARCHIVE_DIR: shows would fill Redis. A disk
 * that is full now is no reason: sales go on, and shows are archived when it has space.
 */
function checkArchiveFolder(config: Config, report: ReportError, warn: ReportError): void {
  const problem = config.roles.some((role) => role !== 'gateway') ? archiveFolderProblem(config) : null;
  if (problem === null) return;
  if (archiveFolderProblem(config, { mayBeFull: true }) === null)
    warn('ARCHIVE_DIR', `${problem}. Ended shows stay in Redis until there is space.`);
  else if (!config.isArchiveDirDefault) report('ARCHIVE_DIR', problem);
  else warn('ARCHIVE_DIR', `is not set, and ${problem}. Ended shows stay in Redis. Set it to a writable folder.`);
}

function asVariables(flags: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const variables: Record<string, string> = {};
  for (const { flag, variable } of Object.values(SETTINGS)) {
    const raw = flag === null ? undefined : flags.get(flag);
    if (raw !== undefined) variables[variable] = raw;
  }
  return Object.freeze(variables);
}

const NO_SECRET =
  'is needed with REDIS_URL, and must be the same in every process: try "openssl rand -hex 32". AUTH_PUBLIC_KEYS may ' +
  'replace it.';

/** Returns the errors as the CLI prints them, one per line. */
export function configErrorsText(errors: readonly ConfigError[]): string {
  return errors.map(({ source, problem }) => `  ${source}: ${problem}`).join('\n');
}

function checkRelations(config: Config, purpose: 'serve' | 'token' | 'inspect', report: ReportError): void {
  const { roles, authSecret, gatewayPort, controlPort } = config;
  const isShared = config.redis !== null;
  if (purpose === 'token' && isShared && authSecret === null) report('AUTH_SECRET', 'is needed to sign a token');
  if (purpose !== 'serve') return;

  const [hasGateway, hasControl] = [roles.includes('gateway'), roles.includes('control')];
  if (!isShared && roles.length < ENGINE_ROLES.length)
    report(
      'REDIS_URL',
      `is needed for roles in separate processes (ROLES=${roles.join(',')}): ` +
        'an embedded Redis serves one engine and its workers.',
    );
  if (config.workers > 1 && !hasGateway)
    report('WORKERS', 'counts gateway processes: add gateway to ROLES or set WORKERS to 1.');
  if (gatewayPort !== 0 && gatewayPort === controlPort && hasGateway && hasControl)
    report('CONTROL_PORT', `must differ from GATEWAY_PORT (${gatewayPort}).`);
  const used = [...(hasGateway ? [gatewayPort] : []), ...(hasControl ? [controlPort] : [])];
  if (config.metricsPort !== null && config.metricsPort !== 0 && used.includes(config.metricsPort))
    report('METRICS_PORT', `must differ from GATEWAY_PORT and CONTROL_PORT (${config.metricsPort}).`);
  if (isShared && (hasGateway || hasControl) && authSecret === null && config.authPublicKeys.length === 0)
    report('AUTH_SECRET', NO_SECRET);
  if (isShared && hasControl && config.apiKeys === null)
    report('API_KEYS', 'is needed with REDIS_URL for the control role');
  if (config.demoTokens && authSecret === null && config.authPublicKeys.length > 0)
    report('DEMO_TOKENS', 'signs tokens with AUTH_SECRET, and with AUTH_PUBLIC_KEYS alone there is none');
}

function readPublicKeys(paths: readonly string[], readFile: ReadFile, report: ReportError): readonly string[] {
  const pems: string[] = [];
  for (const path of paths) {
    const reportKey = (problem: string): void => report(SETTINGS.authPublicKeys.variable, `${path} ${problem}`);
    try {
      const pem = readFile(path);
      if (/PRIVATE KEY/.test(pem)) {
        reportKey('is a private key. Give the public key.');
        continue;
      }
      createPublicKey(pem);
      pems.push(pem);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? '';
      reportKey(/^E[A-Z]+$/.test(code) ? `cannot be read (${code}).` : 'is not a PEM public key.');
    }
  }
  return Object.freeze(pems);
}

interface Flags {
  readonly settings: ReadonlyMap<string, string>;
  readonly own: Readonly<Record<string, string | true>>;
  readonly operands: readonly string[];
}

function readFlags(argv: readonly string[], own: OwnFlags, takesOperands: boolean, report: ReportError): Flags {
  const { values, operands, errors } = readCommandLine(commandWithSettings('', '', own), argv, takesOperands);
  for (const { source, problem } of errors) report(source, `${problem}${secretFlagHint(source)}`);
  const settings = new Map<string, string>();
  const ownValues: Record<string, string | true> = {};
  for (const [flag, value] of values)
    if (Object.hasOwn(own, flag)) ownValues[flag] = value;
    else if (value !== true) settings.set(flag, value);
  return { settings, own: Object.freeze(ownValues), operands };
}

function secretFlagHint(flag: string): string {
  const variable = flag.replace(/^--/, '').replaceAll('-', '_').toUpperCase();
  const isSecret = ALL.some((entry) => entry.isSecret && entry.variable === variable);
  return isSecret ? ` Secrets come from the environment only: set ${variable}.` : '';
}
