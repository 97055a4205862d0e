export { gatewayUrl, reachableHost } from './addresses.ts';
export { type ConfigError, commandHelp } from './command-line.ts';
export { archiveFolderKeeper, archiveFolderProblem, freeBytesAt, missingMark, prepareFolder } from './data-folder.ts';
export { type Environment, environment, type WorkerSettings, workerEnvironment, workerNumber } from './environment.ts';
export { commandWithSettings, type OwnFlags } from './help.ts';
export { listenError, probePort } from './listening.ts';
export {
  type Config,
  configErrorsText,
  type Loaded,
  type LoadOptions,
  loadConfig,
} from './load.ts';
export { REDIS_PARTS } from './redis.ts';
export { ensureSecrets, type Secrets } from './secrets.ts';
export { ENGINE_ROLES, type EngineRole, type LogLevel, SETTINGS, type Setting, type SettingName } from './settings.ts';
export { VERSION } from './version.ts';
