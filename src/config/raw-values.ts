/** Finds the text of a setting: in its flag, its variable, or the file that a variable names. */
import type { Environment } from './environment.ts';
import type { ReadFile, ReportError } from './load.ts';
import type { Setting } from './setting.ts';

interface Sources {
  /** By their names without the dashes. */
  readonly flags: ReadonlyMap<string, string>;
  readonly env: Environment;
  readonly readFile: ReadFile;
  readonly report: ReportError;
  /** Receives what is no error, and what the operator should know. */
  readonly warn: ReportError;
}

/** Docker and Kubernetes mount secrets as files: AUTH_SECRET_FILE names the one of AUTH_SECRET. */
export const fileVariable = ({ variable }: Setting<unknown>): string => `${variable}_FILE`;

/** Returns the text of a setting, without surrounding blanks if it is no secret. null: not set. */
export function rawValue(setting: Setting<unknown>, sources: Sources): string | null {
  const { flags, env, report, warn } = sources;
  const { variable, isSecret } = setting;
  const flag = setting.flag === null ? undefined : flags.get(setting.flag);
  if (flag !== undefined) return flag.trim();
  const raw = env[variable] ?? '';
  const file = setting.mayBeFile ? (env[fileVariable(setting)] ?? '').trim() : '';
  if (raw.trim() === '') return file === '' ? null : fromFile(setting, file, sources);
  if (file !== '') report(variable, `is set, and ${fileVariable(setting)} too. Set one of them`);
  const reason = setting.whyIgnored(raw.trim());
  if (reason !== null) {
    warn(variable, reason);
    return null;
  }
  if (!isSecret) return raw.trim();
  const secret = raw.replace(/[\r\n]+$/, '');
  if (secret !== raw)
    warn(variable, 'ended with a line break, which is removed. Other programs may use it with the line break.');
  if (/^(['"]).*\1$/.test(secret))
    warn(variable, 'starts and ends with a quote, which is part of it. Files of docker --env-file need no quotes.');
  return secret;
}

function fromFile(setting: Setting<unknown>, file: string, { readFile, report }: Sources): string | null {
  const variable = fileVariable(setting);
  try {
    const text = readFile(file).replace(/[\r\n]+$/, '');
    if (text.trim() === '') report(variable, `${file} is empty`);
    return setting.isSecret ? text : text.trim();
  } catch (cause) {
    const { code = 'unknown reason' } = cause as NodeJS.ErrnoException;
    report(variable, `${file} cannot be read (${code}). Check the path, and that this user may read the file`);
    return null;
  }
}
