import type { CommandDefinition, FlagDescription } from './command-line.ts';
import { SETTINGS, type Setting, type SettingName } from './settings.ts';

/** Flags of a command beside the settings, by their names without the dashes. */
export type OwnFlags = Readonly<Record<string, FlagDescription>>;

const NAMES = Object.keys(SETTINGS) as SettingName[];

/** Returns a command with the flags of all settings; its help lists those in `shown`. */
export function commandWithSettings(
  usage: string,
  description: string,
  own: OwnFlags = {},
  shown: readonly SettingName[] = NAMES,
): CommandDefinition {
  const flags: Record<string, FlagDescription> = { ...own };
  const variables: Record<string, string> = {};
  for (const name of NAMES) {
    const { flag, variable, ...texts }: Setting<unknown> = SETTINGS[name];
    const help = `${texts.help} Allowed: ${texts.range}. Default: ${texts.fallbackText}.`;
    const isHidden = !shown.includes(name);
    if (flag !== null) flags[flag] = { help, placeholder: 'value', variable, isHidden };
    else if (!isHidden) variables[variable] = help;
  }
  return { usage, description, flags, variables };
}
