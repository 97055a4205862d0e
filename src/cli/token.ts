/** `stampede token`: signs a viewer token, for tests and for back offices without a JWT library. */
import { createTokens } from '../auth/tokens.ts';
import { type ConfigError, commandHelp, commandWithSettings, ensureSecrets } from '../config/index.ts';
import { LIMITS } from '../limits.ts';
import { ROLES, type Role } from '../protocol/messages.ts';
import { type Command, EXIT, loadFor, missingDataFolder, print, printError, refuse } from './command.ts';

const { tokenTtlSecondsMin: TTL_MIN, tokenTtlSecondsMax: TTL_MAX, tokenTtlSecondsDefault: TTL_DEFAULT } = LIMITS;

const OWN = {
  show: { placeholder: 'id', help: 'the show' },
  user: { placeholder: 'id', help: 'the user; per-buyer limits count by this id' },
  name: { placeholder: 'text', help: 'display name in chat. Default: the user id.' },
  role: { placeholder: 'role', help: `${ROLES.join(', ')}. Default: buyer.` },
  ttl: { placeholder: 'seconds', help: `${TTL_MIN} to ${TTL_MAX}. Default: ${TTL_DEFAULT}.` },
} as const;
const DESCRIPTION = `Prints a token for one user of one show, signed with AUTH_SECRET or with the secret that an
embedded engine keeps in DATA_DIR.`;
const USAGE = 'stampede token --show <id> --user <id> [flags]';
const help = (): string =>
  commandHelp(commandWithSettings(USAGE, DESCRIPTION, OWN, ['authSecret', 'dataDir', 'redisUrl']));

async function run(argv: readonly string[]): Promise<number> {
  const loaded = loadFor('token', { argv, own: OWN, purpose: 'token' });
  if (!loaded.ok) return refuse('token', loaded.errors);
  const errors: ConfigError[] = [];
  const report = (source: string, problem: string): void => void errors.push({ source, problem });
  const text = (flag: keyof typeof OWN): string | undefined => {
    const given = loaded.own[flag];
    return typeof given === 'string' ? given : undefined;
  };
  const [show, user] = [text('show'), text('user')];
  if (!show) report('--show', 'is needed: the id of a show.');
  if (!user) report('--user', 'is needed: the id of the user.');
  const role = text('role') ?? 'buyer';
  if (!isRole(role)) report('--role', `must be one of ${ROLES.join(', ')}, got ${JSON.stringify(role)}.`);
  const ttl = text('ttl') ?? String(TTL_DEFAULT);
  const ttlSeconds = /^\d{1,8}$/.test(ttl) ? Number(ttl) : 0;
  if (ttlSeconds < TTL_MIN || ttlSeconds > TTL_MAX)
    report('--ttl', `must be a whole number of seconds from ${TTL_MIN} to ${TTL_MAX}.`);
  const { config } = loaded;
  if (config.authSecret === null && config.authPublicKeys.length === 0) errors.push(...missingDataFolder(config));
  if (!show || !user || !isRole(role) || errors.length > 0) return refuse('token', errors);

  const { authSecret } = ensureSecrets(config);
  if (authSecret === null) {
    printError(
      'stampede token: this engine verifies tokens with public keys and cannot sign one. ' +
        'Sign with the private key, or set AUTH_SECRET.',
    );
    return EXIT.failed;
  }
  const tokens = createTokens({ secret: authSecret, nowMs: Date.now });
  print(tokens.mint({ show, user, name: text('name') ?? user, role }, ttlSeconds));
  return EXIT.ok;
}

const isRole = (text: string): text is Role => ROLES.some((role) => role === text);

export const token: Command = { help, run };
