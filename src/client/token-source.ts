/** The token of a viewer: a fixed text, or a function that fetches one when it is needed. */

/** A viewer token, or a function that returns one each time it is called. */
export type TokenOption = string | (() => string | Promise<string>);

/** A function that takes longer has failed. */
const FETCH_TIMEOUT_MS = 15_000;

/** Returns a text that a subprotocol may contain; an error page is none. The error hides it. */
function tokenOf(text: unknown): string {
  const token = typeof text === 'string' ? text.trim() : '';
  if (!/^[\w.~!#$%&'*+^`|-]+$/.test(token)) throw new TypeError('The text is not a token.');
  return token;
}

export class TokenSource {
  readonly #option: TokenOption | undefined;
  #token: string | undefined;

  constructor(option: TokenOption | undefined) {
    this.#option = option;
  }

  get isRenewable(): boolean {
    return typeof this.#option === 'function';
  }

  /** Returns the pass, or the known token; fetches one if there is none. Rejects if that fails. */
  async current(pass = this.#token): Promise<string | undefined> {
    if (pass !== undefined || !this.#option) return pass;
    return this.isRenewable ? this.renew() : tokenOf(this.#option);
  }

  /** Calls the token function. Rejects if that fails, and keeps the one of before. */
  async renew(): Promise<string> {
    const fetchToken = this.#option as () => string | Promise<string>;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`The token function did not return within ${FETCH_TIMEOUT_MS / 1000} s.`);
      timer = setTimeout(() => reject(error), FETCH_TIMEOUT_MS);
    });
    try {
      this.#token = tokenOf(await Promise.race([fetchToken(), late]));
      return this.#token;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The server refused the token: it has expired. */
  expire(): void {
    this.#token = undefined;
  }
}
