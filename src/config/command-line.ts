/**
 * Command lines of the engine, the load tester and the demo, on commander. Commander stops at the
 * first error; `readCommandLine` returns all of them.
 */
import { Command, CommanderError, Option } from 'commander';

export interface FlagDescription {
  readonly help: string;
  /** Names the value in the help; null for a switch, which takes no value. */
  readonly placeholder: string | null;
  /** The environment variable that the flag overrides. */
  readonly variable?: string;
  readonly isHidden?: boolean;
}

export interface CommandDefinition {
  /** For example `stampede token --show <id> [flags]`. */
  readonly usage: string;
  readonly description: string;
  /** By their names without the dashes. */
  readonly flags: Readonly<Record<string, FlagDescription>>;
  /** Variables without a flag, and their help. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Text below the flags. */
  readonly notes?: string;
}

/** One error: a flag, variable or word, and what it may be. */
export interface ConfigError {
  readonly source: string;
  readonly problem: string;
}

export interface CommandLine {
  /** The last value of each flag that was given; `true` for a switch. */
  readonly values: ReadonlyMap<string, string | true>;
  /** Words that are not flags. They are errors unless the command takes them. */
  readonly operands: readonly string[];
  readonly errors: readonly ConfigError[];
}

const HELP_COLUMNS = 100;

/** Joins the lines of each paragraph, which are wrapped again; lists are indented and stay. */
const unwrapped = (text: string): string => text.replace(/(?<=\S)\n(?=\S)/g, ' ');

function commandOf({ usage, description, flags }: CommandDefinition): Command {
  const [name = ''] = usage.split(/ (?=[<[-])/);
  const command = new Command(name)
    .usage(usage.slice(name.length + 1))
    .description(unwrapped(description))
    .exitOverride()
    .configureOutput({ writeErr: () => {}, getOutHelpWidth: () => HELP_COLUMNS });
  for (const [flag, { help, placeholder, variable, isHidden = false }] of Object.entries(flags)) {
    const option = new Option(`--${flag}${placeholder === null ? '' : ` <${placeholder}>`}`, help).hideHelp(isHidden);
    command.addOption(variable === undefined ? option : option.env(variable));
  }
  return Object.hasOwn(flags, 'help') ? command.helpOption(false) : command.helpOption('-h, --help', 'show this help');
}

/** Returns the page for `--help`. */
export function commandHelp(definition: CommandDefinition): string {
  const command = commandOf(definition);
  const helper = command.createHelp();
  helper.helpWidth = HELP_COLUMNS;
  const variables = Object.entries(definition.variables ?? {});
  const width = Math.max(helper.padWidth(command, helper), ...variables.map(([variable]) => variable.length));
  const items = variables.map(([variable, text]) => helper.formatItem(variable, width, text, helper));
  return [
    command.helpInformation().trimEnd(),
    ...(items.length > 0 ? [`From the environment only:\n${items.join('\n')}`] : []),
    ...(definition.notes === undefined ? [] : [definition.notes.trim()]),
  ].join('\n\n');
}

export function readCommandLine(
  definition: CommandDefinition,
  argv: readonly string[],
  takesOperands = false,
): CommandLine {
  const command = commandOf(definition);
  const errors: ConfigError[] = [];
  const values = new Map<string, string | true>();
  const report = (source: string, problem: string): void => void errors.push({ source, problem });
  for (const option of command.options)
    command.on(`option:${option.name()}`, (value?: string) => {
      const flag = `--${option.name()}`;
      if (!option.required) values.set(option.name(), true);
      else if (value === undefined || value === '') report(flag, `needs a value (${option.flags}).`);
      else if (value.startsWith('--')) report(flag, `needs a value, and ${value} looks like the next flag.`);
      else values.set(option.name(), value);
    });
  // Commander stops at a last flag without a value; an empty value is reported like the others.
  const lacksValue = command.options.some(({ long, required }) => required && long === argv.at(-1));
  const { operands, unknown } = command.parseOptions(lacksValue ? [...argv, ''] : [...argv]);
  // Commander moves the value of an unknown flag behind it.
  const words = takesOperands ? unknown : [...operands, ...unknown];
  for (const [n, word] of words.entries()) {
    const [flag = word] = word.split('=', 1);
    if (!word.startsWith('-') && words[n - 1]?.startsWith('-')) continue;
    if (!word.startsWith('-')) report(JSON.stringify(word), 'is not expected. Give values as --flag value.');
    else if (command.options.some(({ long }) => long === flag)) report(flag, 'takes no value.');
    else report(flag, `is not a flag of this command.${suggestion(command, flag)} See --help.`);
  }
  return { values, operands, errors };
}

/** Returns `(Did you mean --workers?)` for an unknown flag, or an empty text. */
function suggestion(command: Command, flag: string): string {
  const longer = command.options.flatMap(({ long }) => (long?.endsWith(flag.slice(1)) ? [long] : []));
  if (longer.length > 0 && flag.length > 3) return ` (Did you mean ${longer.join(' or ')}?)`;
  try {
    command.parse([flag], { from: 'user' });
    return '';
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.message.match(/\(Did you mean .*\)/s)?.[0].replace(/^/, ' ') ?? '';
  }
}
