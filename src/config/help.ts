import { SETTINGS, type Setting, type SettingName } from './settings.ts';

const WIDTH = 110;
const INDENT = ' '.repeat(6);

/** Returns the settings as `--help` prints them. */
export function settingsHelp(names: readonly SettingName[] = Object.keys(SETTINGS) as SettingName[]): string {
  return names.map((name) => settingHelp(SETTINGS[name])).join('\n');
}

function settingHelp({ variable, flag, help, range, fallbackText }: Setting<unknown>): string {
  const head = flag === null ? `  ${variable} (environment only)` : `  --${flag} VALUE, ${variable}`;
  return [head, ...wrapped(help), ...wrapped(`Allowed: ${range}. Default: ${fallbackText}.`)].join('\n');
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = INDENT;
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > WIDTH && line.trim() !== '') {
      lines.push(line.trimEnd());
      line = INDENT;
    }
    line += `${word} `;
  }
  lines.push(line.trimEnd());
  return lines;
}
