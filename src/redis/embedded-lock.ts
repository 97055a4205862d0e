/**
 * Locks of the kernel on files in the data folder. They hold across pid namespaces, as the inode is
 * what is locked, and end with the processes that have the descriptor, also after `kill -9`.
 *
 * Node cannot lock a file. But a lock belongs to the open file, not to the process: a child that
 * inherits the descriptor takes it, ends, and the engine keeps it.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

export interface FileLock {
  /** Inherited by the process that must keep the lock when this one closes it. */
  readonly fd: number;
  close(): void;
}

/** Descriptor 3 is the open file. Exit code 1 without a text: another process has the lock. */
const LOCKERS: readonly (readonly [string, ...string[]])[] = [
  ['flock', '-n', '3'],
  ['perl', '-e', 'open(F, ">>&=", 3) or die "$!\\n"; exit 0 if flock(F, 6); exit 1 if $!{EWOULDBLOCK}; die "$!\\n"'],
];
const RETRY_MS = 100;

/** Returns null if another process has the lock for all of `patienceMs`. Throws if it fails. */
export async function lockFile(path: string, patienceMs = 0): Promise<FileLock | null> {
  // NFS needs a descriptor for reading and writing.
  const fd = openSync(path, 'a+', 0o600);
  let closed = false;
  const close = (): void => {
    if (!closed) closeSync(fd);
    closed = true;
  };
  try {
    const until = performance.now() + patienceMs;
    while (!(await tryLock(path, fd))) {
      if (performance.now() >= until) {
        close();
        return null;
      }
      await sleep(RETRY_MS);
    }
    return { fd, close };
  } catch (error) {
    close();
    throw error;
  }
}

async function tryLock(path: string, fd: number): Promise<boolean> {
  for (const command of LOCKERS) {
    const ended = await run(command, fd);
    if (ended === null) continue;
    if (ended.code === 0) return true;
    if (ended.code === 1 && ended.stderr === '') return false;
    throw new Error(
      `${path} cannot be locked (${ended.stderr || `${command[0]} ended with ${ended.code}`}). The data folder must ` +
        'be on a file system with locks: a local disk, or NFS with a lock service. ' +
        'Set another DATA_DIR, or set REDIS_URL.',
    );
  }
  throw new Error(
    'Neither flock nor perl is on the PATH; one of them locks the data folder of the embedded Redis. ' +
      'Install flock (util-linux on Linux), or set REDIS_URL.',
  );
}

/** Resolves with null if the program is not installed. */
async function run([name, ...args]: readonly [string, ...string[]], fd: number) {
  const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe', fd], detached: true });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  try {
    const [code, stderr] = await Promise.all([ended, text(child.stderr as NodeJS.ReadableStream)]);
    return { code, stderr: stderr.trim() };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
