/** An engine reduced to its embedded Redis: prints its socket, ends at SIGTERM. */
import { prepareFolder } from '../../src/config/index.ts';
import { EmbeddedRedis } from '../../src/redis/index.ts';

const [folder = '', node = '', appendfsync] = process.argv.slice(2);
try {
  const mode = appendfsync === 'always' ? 'always' : 'everysec';
  const embedded = new EmbeddedRedis({ folder: prepareFolder(folder), node, appendfsync: mode });
  process.once('SIGTERM', () => void embedded.stop());
  embedded.failed.then((reason) => {
    console.log(reason);
    void embedded.stop();
  });
  await embedded.start().catch((error) => {
    void embedded.stop();
    throw error;
  });
  console.log(embedded.target.socketPath);
} catch (error) {
  console.log((error as Error).message);
  process.exitCode = 1;
}
