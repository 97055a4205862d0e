/** An engine reduced to its embedded Redis: prints the socket of the server, ends at SIGTERM. */
import { EmbeddedRedis } from '../../src/redis/index.ts';

const [folder = '', node = ''] = process.argv.slice(2);
const embedded = new EmbeddedRedis({ folder, node });
process.once('SIGTERM', () => void embedded.stop());
embedded.start().then(
  () => console.log(embedded.target.socketPath),
  (error: Error) => {
    console.log(error.message);
    process.exitCode = 1;
    void embedded.stop();
  },
);
