/**
 * Log records (pino), as JSON or as lines for people. Tokens, API keys and passwords are redacted
 * in fields and in texts.
 */
import { isatty } from 'node:tty';
import {
  type DestinationStream,
  type LevelWithSilent,
  type Logger,
  type LoggerOptions,
  pino,
  type SerializedError,
  stdSerializers,
} from 'pino';
import { StampedeError } from '../protocol/codes.ts';
import { prettyLine } from './pretty.ts';

export type { Logger };

/** Returns the fields of an error: the code and what to do, or the error if it is a defect. */
export const errorFields = (error: unknown): object =>
  error instanceof StampedeError ? error.failure : { err: error };

export interface LogOptions {
  readonly level?: LevelWithSilent;
  /** The name of the process in every record. */
  readonly node?: string;
  /** Default: `auto`, which is `pretty` if standard output is a terminal, else `json`. */
  readonly format?: LogFormat;
  /** Default: standard output. */
  readonly destination?: DestinationStream;
}

export type LogFormat = 'auto' | 'json' | 'pretty';

/** Records above this size are dropped until the reader of standard output has caught up. */
const PENDING_BYTES_MAX = 1_048_576;
const RETRY_MS = 100;

const CENSORED = '[redacted]';
const SECRET_FIELDS = [
  'token',
  'secret',
  'apiKey',
  'password',
  'authorization',
  'cookie',
  'authSecret',
  '["x-api-key"]',
  '["sec-websocket-protocol"]',
];
const REDACTED_PATHS = ['', '*', '*.*'].flatMap((at) =>
  SECRET_FIELDS.map((field) => (at === '' || field.startsWith('[') ? `${at}${field}` : `${at}.${field}`)),
);

/**
 * Redacted in the serialized record: JWTs in error texts, `?token=`, passwords in Redis URLs. A
 * remedy names such a URL with PASSWORD.
 */
const SECRET_TEXTS: ReadonlyArray<readonly [RegExp, string]> = [
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, CENSORED],
  [/([?&](?:token|api[-_]?key)=)[^&\s"\\]+/gi, `$1${CENSORED}`],
  [/((?:rediss?|REDISS?):\/\/[^:@/\s"]*:)(?!PASSWORD@)[^@\s"]+@/g, `$1${CENSORED}@`],
];

/** Replaces JWTs, and tokens and passwords in URLs. */
export function redactText(text: string): string {
  let clean = text;
  for (const [pattern, replacement] of SECRET_TEXTS) clean = clean.replace(pattern, replacement);
  return clean;
}

/**
 * ioredis adds the failed command to its errors. Its arguments may be a password, buyers' data or a
 * whole Lua script, so only the name is logged.
 */
function errorRecord(error: Error): SerializedError {
  const record = stdSerializers.err(error);
  hideArguments(record);
  return record;
}

function hideArguments(record: SerializedError): void {
  const { command } = record;
  if (command?.name !== undefined) record.command = command.name;
  for (const inner of [...Object.values(record), ...(record.aggregateErrors ?? [])])
    if (inner?.stack !== undefined && inner !== record) hideArguments(inner);
}

export function createLogger(options: LogOptions = {}): Logger {
  const settings: LoggerOptions = {
    level: options.level ?? 'info',
    base: options.node === undefined ? null : { node: options.node },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: REDACTED_PATHS, censor: CENSORED },
    serializers: { err: errorRecord, error: errorRecord, cause: errorRecord },
    hooks: { streamWrite: redactText },
  };
  const output = options.destination ?? standardOutput();
  const { format = 'auto' } = options;
  const isTerminal = options.destination === undefined && isatty(process.stdout.fd);
  if (format === 'json' || (format === 'auto' && !isTerminal)) return pino(settings, output);
  const isColored = isTerminal && process.stdout.hasColors();
  return pino(settings, { write: (record) => void output.write(prettyLine(record, isColored)) });
}

/**
 * Writes each record at once. Records wait in memory while a pipe is full, and are lost if it still
 * is at the end. By default, pino waits at the end of the process until the pipe is read.
 */
function standardOutput(): DestinationStream {
  // Access to `process.stdout` makes a pipe non-blocking.
  const { fd } = process.stdout;
  const output = pino.destination({ fd, sync: true, maxLength: PENDING_BYTES_MAX, retryEAGAIN: () => false });
  const writePending = (): void => void output.write('');
  let retry: NodeJS.Timeout | undefined;
  output.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code !== 'EAGAIN') return;
    clearTimeout(retry);
    retry = setTimeout(writePending, RETRY_MS).unref();
  });
  process.once('exit', writePending);
  return output;
}
