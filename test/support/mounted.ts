/** File systems that a child process has in the place of a folder, for tests of disks. */
import { spawnSync } from 'node:child_process';

/** Returns the beginning of a command, which runs after a mount that only it sees. */
export const mounted = (options: string, folder: string): string[] => {
  const script = `mount -t tmpfs -o ${options} none "$0" && exec "$@"`;
  return ['unshare', '--mount', '--map-root-user', 'sh', '-c', script, folder];
};

const canMount = spawnSync('unshare', ['-mr', 'sh', '-c', 'mount -t tmpfs none /mnt']).status === 0;
export const needsMount = { skip: canMount ? false : 'needs unshare --mount' };
