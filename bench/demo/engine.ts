/** The engine of the demo: one process with all roles, which ends with the demo. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { EngineProcess, plainEnvironment } from '../launch/engine-process.ts';
import { builtProgram } from '../launch/program.ts';
import type { DemoOptions } from './options.ts';

export type RunningEngine = Awaited<ReturnType<typeof startEngine>>;

/** Something that the person must fix before the demo can run: reported without a stack. */
export class StartError extends Error {}

export async function startEngine(options: DemoOptions) {
  const { host, dataDir, showLogs } = options;
  const program = builtProgram();
  if (program === null) throw new StartError('The engine is not built: run "npm run build" first.');
  const gatewayPort = await claimPort(host, options.gatewayPort, '--gateway-port');
  const controlPort = await claimPort(host, options.controlPort, '--control-port');
  const engine = new EngineProcess({
    name: 'The engine',
    command: ['--max-semi-space-size=64', program, 'serve'],
    // Without other settings of the environment, which would make it another engine.
    env: {
      ...plainEnvironment(),
      NODE_ENV: process.env.NODE_ENV,
      HOST: host,
      GATEWAY_PORT: String(gatewayPort),
      CONTROL_PORT: String(controlPort),
      DATA_DIR: dataDir,
      DEMO_TOKENS: 'true',
      LOG_LEVEL: showLogs ? 'info' : 'warn',
    },
    followsParent: true,
    ...(showLogs ? { onLine: (line, stream) => void process[stream].write(`${line}\n`) } : {}),
  });
  try {
    await engine.start();
    const reachable = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
    return {
      gatewayUrl: `ws://${reachable}:${gatewayPort}`,
      controlUrl: `http://${reachable}:${controlPort}`,
      apiKey: readApiKey(dataDir),
      /** Resolves when the process has ended, with how it ended. */
      ended: engine.program.finished.then(({ code, signal }) =>
        signal === null ? `code ${code}` : `signal ${signal}`,
      ),
      stop: () => engine.stop(),
    };
  } catch (error) {
    await engine.stop();
    throw error instanceof StartError ? error : new StartError(error instanceof Error ? error.message : String(error));
  }
}

async function claimPort(host: string, port: number, flag: string): Promise<number> {
  const probe = createServer();
  return new Promise((resolve, reject) => {
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.code ?? error.message})`;
      reject(new StartError(`Port ${port} ${why}. Stop that program or choose another port with ${flag}.`));
    });
    probe.listen({ host, port, exclusive: true }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}

function readApiKey(dataDir: string): string {
  const file = join(dataDir, 'secrets.json');
  const { apiKeys = {} } = JSON.parse(readFileSync(file, 'utf8')) as { apiKeys?: Record<string, string> };
  const [key] = Object.values(apiKeys);
  if (key === undefined) throw new StartError(`${file} contains no API key.`);
  return key;
}
