export { type Environment, environment, type WorkerSettings, workerEnvironment, workerNumber } from './environment.ts';
export { settingsHelp } from './help.ts';
export { listenError, probePort } from './listening.ts';
export {
  type Config,
  type ConfigError,
  configErrorsText,
  type Loaded,
  type LoadOptions,
  loadConfig,
  type OwnFlags,
} from './load.ts';
export { ensureSecrets, type Secrets } from './secrets.ts';
export { ENGINE_ROLES, type EngineRole, type LogLevel, SETTINGS, type Setting, type SettingName } from './settings.ts';
