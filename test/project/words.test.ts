import t from 'tap';
import { checkPaths } from './words.ts';

const PATHS = ['src', 'bench', 'test', 'scripts', '.ci', '.github', 'Dockerfile', 'compose.yaml'];
const PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];

t.test('no text uses a replaced word or is too wide (CONTRIBUTING.md, "Write")', async (t) => {
  t.same(checkPaths([...PATHS, ...PAGES]), []);
});
