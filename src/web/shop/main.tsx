/** The shop tab: the public shows, live and upcoming, with countdowns. */
import { startPage } from '../shared/start.ts';
import { follow } from './list.ts';
import { Shows } from './shows.tsx';

await startPage(() => <Shows />);
follow();
