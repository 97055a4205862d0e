/** Makes a line for people from a JSON log record: time, level, message, fields. */

const LEVELS: Readonly<Record<number, readonly [name: string, color: number]>> = {
  10: ['TRACE', 90],
  20: ['DEBUG', 90],
  30: ['INFO', 32],
  40: ['WARN', 33],
  50: ['ERROR', 31],
  60: ['FATAL', 35],
};
const DIM = 90;
/** They move the cursor of a terminal or change its state. Stack traces have lines and tabs. */
const CONTROLS = /(?![\n\t])\p{Cc}/gu;
const printable = (text: string): string => text.replace(CONTROLS, '\ufffd');

interface LogRecord {
  readonly level: number;
  readonly time: string;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

const clockTime = (time: string): string => {
  const at = new Date(time);
  const part = (value: number, digits = 2): string => String(value).padStart(digits, '0');
  return `${part(at.getHours())}:${part(at.getMinutes())}:${part(at.getSeconds())}.${part(at.getMilliseconds(), 3)}`;
};

/** Plain words need no quotes. */
const shown = (value: unknown): string =>
  typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);

const stackOf = (value: unknown): string | null => {
  const stack = typeof value === 'object' && value !== null ? (value as { stack?: unknown }).stack : undefined;
  return typeof stack === 'string' ? stack : null;
};

/** Returns the line of a record, and the record itself if it is no JSON. */
export function prettyLine(record: string, isColored: boolean): string {
  const paint = (text: string, color: number): string => (isColored ? `\u001b[${color}m${text}\u001b[0m` : text);
  let fields: LogRecord;
  try {
    fields = JSON.parse(record) as LogRecord;
  } catch {
    return record;
  }
  const { level, time, msg = '', node: _, ...rest } = fields;
  const [name, color] = LEVELS[level] ?? [String(level), DIM];
  const entries = Object.entries(rest);
  const words = entries.flatMap(([field, value]) => (stackOf(value) === null ? [`${field}=${shown(value)}`] : []));
  const stacks = entries.flatMap(([, value]) => stackOf(value) ?? []);
  const text = [printable(msg), ...words.map((word) => paint(printable(word), DIM))].filter(Boolean).join(' ');
  const trace = stacks.map((stack) => `${printable(stack).replace(/^/gm, '    ')}\n`).join('');
  return `${paint(clockTime(time), DIM)} ${paint(name.padEnd(5), color)} ${text}\n${trace}`;
}
