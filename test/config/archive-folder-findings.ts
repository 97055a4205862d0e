/** What start and `doctor` find about ARCHIVE_DIR. As a program: `archive-folder-findings DIR`. */
import { pathToFileURL } from 'node:url';
import { checkArchiveFolder } from '../../src/cli/doctor.ts';
import { loadConfig } from '../../src/config/index.ts';
import { SHARED_SECRETS } from '../cli/program.ts';

export function findingsOf(settings: Record<string, string>, argv: string[] = [], isReadOnly = false) {
  const env = { ...SHARED_SECRETS, REDIS_URL: 'redis://localhost', ...settings };
  const started = loadConfig({ env, argv });
  const inspected = loadConfig({ env, argv, purpose: 'inspect' });
  if (!inspected.ok) throw new Error(JSON.stringify(inspected.errors));
  const texts = (all: ReadonlyArray<{ source: string; problem: string }>): string[] =>
    all.map(({ source, problem }) => `${source}: ${problem}`);
  return {
    errors: started.ok ? [] : texts(started.errors),
    warnings: started.ok ? texts(started.warnings) : [],
    doctor: checkArchiveFolder(inspected.config, isReadOnly),
  };
}

const [, program = '', folder = ''] = process.argv;
if (pathToFileURL(program).href === import.meta.url)
  process.stdout.write(JSON.stringify(findingsOf({ ARCHIVE_DIR: folder })));
