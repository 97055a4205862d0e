/** The viewer page: joins a show with the SDK and shows it. */
import { startPage } from '../shared/start.ts';
import { App } from './app.tsx';
import { open } from './session.ts';

await startPage((query) => <App isEmbedded={query.get('embed') === '1'} />);
void open();
