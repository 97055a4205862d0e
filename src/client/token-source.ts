/** The token of a viewer: a fixed text, or a function that fetches one when it is needed. */

/** A viewer token, or a function that returns one each time it is called. */
export type TokenOption = string | (() => string | Promise<string>);

/** A function that takes longer has failed. */
const FETCH_TIMEOUT_MS = 15_000;

export class TokenSource {
  readonly #option: TokenOption | undefined;
  #token: string | undefined;

  constructor(option: TokenOption | undefined) {
    this.#option = option;
  }

  get isRenewable(): boolean {
    return typeof this.#option === 'function';
  }

  get fixed(): string | undefined {
    return typeof this.#option === 'string' ? this.#option : undefined;
  }

  /** Returns the known token; fetches one if there is none. Rejects if that fails. */
  async current(): Promise<string> {
    return this.#token ?? this.renew();
  }

  /** Fetches a new token. Rejects if that fails, and keeps the one of before. */
  async renew(): Promise<string> {
    if (typeof this.#option !== 'function') throw new TypeError('The token is a fixed text.');
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`The token function did not return within ${FETCH_TIMEOUT_MS / 1000} s.`);
      timer = setTimeout(() => reject(error), FETCH_TIMEOUT_MS);
    });
    try {
      const token = await Promise.race([this.#option(), late]);
      if (typeof token !== 'string' || token === '') throw new TypeError('The token function returned no text.');
      this.#token = token;
      return token;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The server refused the token: it has expired. */
  expire(): void {
    this.#token = undefined;
  }
}
