/** The report of `stampede doctor` for people. */

import type { Check, CheckState, Checkup, PromiseState } from '../domain/checkup.ts';
import { counted } from '../domain/counted.ts';

const WIDTH = 100;
const MARKS: Readonly<Record<CheckState, string>> = {
  passed: 'ok  ',
  warning: 'WARN',
  failed: 'FAIL',
  skipped: 'skip',
};
const STATES: Readonly<Record<PromiseState['state'], string>> = {
  holds: 'holds',
  limited: 'LIMITED',
  broken: 'BROKEN',
  unknown: 'unknown',
};

/** Returns lines of words that start at `indent`; `head` is in front of the first one. */
function wrapped(head: string, text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = head.padEnd(indent);
  for (const word of text.split(' ')) {
    const isStart = line.length === indent && line.trim() === head.trim();
    if (!isStart && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = `${' '.repeat(indent)}${word}`;
    } else line += isStart ? word : ` ${word}`;
  }
  return [...lines, line];
}

function checkLines({ id, state, found, remedy }: Check): string[] {
  const lines = wrapped(`  ${MARKS[state]} ${id}`, found, 22);
  return remedy === null ? lines : [...lines, ...wrapped(`${' '.repeat(22)}->`, remedy, 25)];
}

export function checkupText({ checks, promises }: Checkup, place: string): string {
  const count = (state: CheckState): number => checks.filter((check) => check.state === state).length;
  const hasPromises = promises.length > 0;
  return [
    `stampede doctor: ${place}`,
    '',
    ...checks.flatMap(checkLines),
    ...(hasPromises ? ['', 'Promises on this server (src/README.md):'] : []),
    ...promises.flatMap(({ id, name, state, text }) => wrapped(`  ${id} ${name}`, `${STATES[state]}: ${text}`, 22)),
    '',
    `${count('passed')} passed, ${counted(count('warning'), 'warning')}, ${count('failed')} failed, ` +
      `${count('skipped')} skipped`,
  ].join('\n');
}
