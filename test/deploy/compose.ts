/** Reads compose files and the Dockerfile as Docker does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from '../support/root.ts';

export const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

type Environment = Readonly<Record<string, string>>;

export interface Service {
  readonly image: string;
  readonly environment: Readonly<Record<string, string | null>>;
  readonly ports?: readonly string[];
  readonly volumes: readonly string[];
  readonly command?: readonly string[];
  readonly stop_grace_period: string;
  readonly [key: string]: unknown;
}

interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks?: { default: { ipam: { config: Array<{ subnet: string; ip_range: string }> } } };
  readonly volumes: Readonly<Record<string, null>>;
}

/** Replaces `${NAME}`, `${NAME:-default}` and `${NAME:?error}`, whose error it throws. */
function interpolate(text: string, env: Environment): string {
  return text.replace(/\$\{([A-Z_]+)(?:(:[-?])([^}]*))?\}/g, (_, name: string, kind: string, rest = '') => {
    const value = env[name] ?? '';
    if (value === '' && kind === ':?') throw new Error(`${name} ${rest}`);
    return value === '' && kind === ':-' ? rest : value;
  });
}

/** Returns the file with the variables of the shell, and with the environment that Docker sets. */
export function readCompose(path: string, env: Environment): ComposeFile {
  const file = parse(read(path), { logLevel: 'error' }) as unknown;
  const resolve = (value: unknown): unknown => {
    if (typeof value === 'string') return interpolate(value, env);
    if (Array.isArray(value)) return value.map(resolve);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, resolve(entry)]));
  };
  return resolve(file) as ComposeFile;
}

/** Returns the variables in the container: without a value, that of the shell or none. */
export function environmentOf({ environment }: Service, env: Environment, image: Environment): Record<string, string> {
  const variables: Record<string, string> = { ...image };
  for (const [name, value] of Object.entries(environment)) {
    const set = value ?? env[name];
    if (set === undefined) delete variables[name];
    else variables[name] = set;
  }
  return variables;
}

/** The instructions of the Dockerfile's last stage: continuation lines joined, no comments. */
export function imageInstructions(): ReadonlyArray<readonly [name: string, text: string]> {
  const lines = read('Dockerfile')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const stage = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM')));
  return stage.map((line) => {
    const [name = '', ...rest] = line.split(' ');
    return [name, rest.join(' ').trim()] as const;
  });
}

const instruction = (name: string): string => imageInstructions().find(([each]) => each === name)?.[1] ?? '';

export function readImage() {
  const environment = Object.fromEntries(
    [...instruction('ENV').matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]),
  );
  return {
    environment,
    exposed: instruction('EXPOSE').split(' ').map(Number),
    command: [...JSON.parse(instruction('ENTRYPOINT')), ...JSON.parse(instruction('CMD'))] as string[],
    /** For `sh -c`, as Docker runs it. */
    healthCheck: instruction('HEALTHCHECK').replace(/^.*? CMD /, ''),
    healthTimes: instruction('HEALTHCHECK').match(/--[a-z-]+=\d+/g) ?? [],
  };
}
