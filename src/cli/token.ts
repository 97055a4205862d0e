/**
 * `stampede token`: signs a viewer token, for trying things out and for back offices without a JWT
 * library.
 */
import { createTokens } from '../auth/tokens.ts';
import { ensureSecrets, environment, loadConfig, type Mistake, settingsHelp } from '../config/index.ts';
import { LIMITS } from '../limits.ts';
import { ROLES, type Role } from '../protocol/messages.ts';
import { type Command, complain, EXIT, print, refuse } from './command.ts';

const OWN = {
  show: { placeholder: 'ID' },
  user: { placeholder: 'ID' },
  name: { placeholder: 'TEXT' },
  role: { placeholder: 'ROLE' },
  ttl: { placeholder: 'SECONDS' },
} as const;
const { tokenTtlSecondsMin: TTL_MIN, tokenTtlSecondsMax: TTL_MAX, tokenTtlSecondsDefault: TTL_DEFAULT } = LIMITS;

function help(): string {
  return `stampede token --show ID --user ID [--name TEXT] [--role ROLE] [--ttl SECONDS]

Prints a token for one user of one show, signed with AUTH_SECRET (or with the secret kept in DATA_DIR by an embedded engine).

  --show ID        the show it is good for
  --user ID        who it is; the per-buyer limit counts by this
  --name TEXT      display name in chat. Default: the user id.
  --role ROLE      ${ROLES.join(', ')}. Default: buyer.
  --ttl SECONDS    ${TTL_MIN} to ${TTL_MAX}. Default: ${TTL_DEFAULT}.

Settings it reads:
${settingsHelp(['authSecret', 'dataDir', 'redisUrl'])}`;
}

async function run(argv: readonly string[]): Promise<number> {
  const loaded = loadConfig({ argv, env: environment(), own: OWN, purpose: 'token' });
  if (!loaded.ok) return refuse('token', loaded.mistakes);
  const mistakes: Mistake[] = [];
  const text = (flag: keyof typeof OWN): string | undefined => {
    const given = loaded.own[flag];
    return typeof given === 'string' ? given : undefined;
  };
  const [show, user] = [text('show'), text('user')];
  if (!show) mistakes.push({ where: '--show', problem: 'is needed: the id of a show.' });
  if (!user) mistakes.push({ where: '--user', problem: 'is needed: the id of the user.' });
  const role = text('role') ?? 'buyer';
  if (!isRole(role))
    mistakes.push({ where: '--role', problem: `must be one of ${ROLES.join(', ')}, got ${JSON.stringify(role)}.` });
  const ttl = text('ttl') ?? String(TTL_DEFAULT);
  const ttlSeconds = /^\d{1,8}$/.test(ttl) ? Number(ttl) : 0;
  if (ttlSeconds < TTL_MIN || ttlSeconds > TTL_MAX)
    mistakes.push({ where: '--ttl', problem: `must be a whole number of seconds from ${TTL_MIN} to ${TTL_MAX}.` });
  if (!show || !user || !isRole(role) || mistakes.length > 0) return refuse('token', mistakes);

  const { authSecret } = ensureSecrets(loaded.config);
  if (authSecret === null) {
    complain(
      'stampede token: tokens are checked with public keys here, so they are signed where the private key is. Set AUTH_SECRET to sign with a secret.',
    );
    return EXIT.failed;
  }
  const tokens = createTokens({ secret: authSecret, nowMs: Date.now });
  print(tokens.mint({ show, user, name: text('name') ?? user, role }, ttlSeconds));
  return EXIT.ok;
}

const isRole = (text: string): text is Role => ROLES.some((role) => role === text);

export const token: Command = { help, run };
