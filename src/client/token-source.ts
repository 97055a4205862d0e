/** The token of a viewer: a fixed text, or a function that fetches one when it is needed. */

/** A viewer token, or a function that returns one each time it is called. */
export type TokenOption = string | (() => string | Promise<string>);

/** A function that takes longer has failed. */
const FETCH_TIMEOUT_MS = 15_000;

/** Returns a text of three parts, as a JSON Web Token has. The error hides the text. */
function tokenOf(text: unknown): string {
  const token = `${text}`.trim();
  if (!/^[\w-]+(\.[\w-]+){2}$/.test(token)) throw new TypeError('The text is not a token.');
  return token;
}

export class TokenSource {
  readonly #option: TokenOption | undefined;
  #token: string | undefined;
  /** A server has accepted the token. */
  isAccepted = false;

  constructor(option: TokenOption | undefined) {
    this.#option = option;
  }

  get isRenewable(): boolean {
    return typeof this.#option === 'function';
  }

  /** Returns the pass, or the known token; fetches one if there is none. Rejects if that fails. */
  async current(pass = this.#token): Promise<string | undefined> {
    if (pass !== undefined || !this.#option) return pass;
    const token = this.isRenewable ? await this.fetch() : tokenOf(this.#option);
    this.keep(token);
    return token;
  }

  /** Returns a new token of the token function, which is not yet kept. Rejects if that fails. */
  async fetch(): Promise<string> {
    const fetchToken = this.#option as () => string | Promise<string>;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`The token function took over ${FETCH_TIMEOUT_MS / 1000} s.`);
      timer = setTimeout(() => reject(error), FETCH_TIMEOUT_MS);
    });
    try {
      return tokenOf(await Promise.race([fetchToken(), late]));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Uses this token from now on; none: it was refused, so the next one is fetched. */
  keep(token?: string): void {
    this.#token = token;
  }
}
