/** What the end of an embedded redis-server means, and what the operator does about it. */
import { join } from 'node:path';
import type { ServerEnd } from './embedded-server.ts';

interface Cause {
  readonly pattern: RegExp;
  /** Another start would end the same way. */
  readonly isFinal?: true;
  remedy(folder: string): string;
}

/** By what the server printed. The first that matches is the cause. */
const CAUSES: readonly Cause[] = [
  {
    pattern: /No space left on device|Disk quota exceeded|AOF write error|Short write/i,
    remedy: (folder) => `The disk of ${folder} is full or fails: free some space, then start the engine again.`,
  },
  {
    pattern: /Permission denied|Operation not permitted|Read-only file system/i,
    remedy: (folder) => `The redis-server may not write to ${folder}: check the owner and the mode of its files.`,
  },
  {
    pattern: /Cannot allocate memory|Out of memory/i,
    remedy: () => 'This host has too little memory for the data: give it more, then start the engine again.',
  },
  {
    pattern: /Can't handle RDB format version/i,
    isFinal: true,
    remedy: (folder) => `A newer server wrote the data in ${folder}: install that version of it, or a newer one.`,
  },
  {
    pattern: /redis-check-(aof|rdb)|valkey-check-(aof|rdb)|append only file|AOF manifest|reading the RDB/i,
    isFinal: true,
    remedy: (folder) => {
      const aof = join(folder, 'appendonlydir');
      return (
        `The data in ${aof} is damaged. Copy that folder first. Then "redis-check-aof --fix" on its file *.manifest ` +
        'removes all writes from the damage on; after that run "stampede verify" for your shows.'
      );
    },
  },
];

const causeOf = ({ output }: ServerEnd): Cause | undefined => CAUSES.find(({ pattern }) => pattern.test(output));

export const isFinal = (end: ServerEnd): boolean => causeOf(end)?.isFinal === true;

export const remedyFor = (end: ServerEnd, folder: string): string =>
  causeOf(end)?.remedy(folder) ??
  (end.signal === 'SIGKILL'
    ? 'Check the memory of this host: the kernel kills large processes when it is short.'
    : 'See the output of the embedded Redis in the log.');

/** Returns the end of the server and what to do, to follow "The embedded Redis". */
export function whyEnded(end: ServerEnd, folder: string): string {
  // A server that was never started printed nothing: this text is ours and says what to do.
  if (end.code === null && end.signal === null) return `did not start: ${end.output}`;
  return `${end.signal === null ? 'ended with' : 'was'} ${endText(end)}. ${remedyFor(end, folder)}`;
}

/** Returns how the server ended, as part of a sentence. */
export function endText({ code, signal, output }: ServerEnd): string {
  const last =
    output
      .split('\n')
      .at(-1)
      ?.replace(/^\d+:\w \d+ \w+ \d+ [\d:.]+ [#*.-] /, '') ?? '';
  if (signal === 'SIGKILL') return 'killed by SIGKILL, perhaps out of memory';
  if (signal !== null) return `killed by ${signal}`;
  if (code === null) return last;
  return last === '' ? `exit code ${code}` : `exit code ${code}, "${last}"`;
}
