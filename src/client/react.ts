/**
 * Hooks for React 18 and later.
 *
 *     const { client, sales } = useShow({ url: 'wss://live.example', show: 'friday', token });
 *     const countdown = useCountdown(client, 'drop');
 *     const { reserve, isPending, outcome } = useReserve(client);
 */
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import type {
  Announcement,
  Product,
  ReservationView,
  SaleView,
  ShowView,
  WaitView,
  Welcome,
} from '../protocol/messages.ts';
import type { StampedeClient } from './client.ts';
import type { ConnectionState } from './connection.ts';
import { watchCountdown } from './countdown.ts';
import { connect } from './index.ts';
import type { ChatMessage } from './model.ts';
import { NOT_CONNECTED, type Outcome } from './outcome.ts';
import type { ClientOptions, CountdownReading, ReserveRequest, ReserveResult } from './types.ts';

/** The show as it is now. Lists keep their identity until the next change. */
export interface ShowValues {
  /** null while the component mounts, and on a server. */
  readonly client: StampedeClient | null;
  readonly status: ConnectionState;
  /** Your identity; null before the first welcome. */
  readonly you: Welcome['you'] | null;
  /** null until the first snapshot. */
  readonly show: ShowView | null;
  readonly products: readonly Product[];
  readonly sales: readonly SaleView[];
  /** Your holds and orders, with some that ended. */
  readonly reservations: readonly ReservationView[];
  readonly waits: readonly WaitView[];
  /** Newest last, bounded. */
  readonly chat: readonly ChatMessage[];
  readonly announcement: Announcement | null;
  readonly viewers: number;
  readonly hearts: number;
  /** False while products and sales of a large show arrive in pages. */
  readonly isComplete: boolean;
}

const NOTHING: ShowValues = {
  ...{ client: null, status: { at: 'connecting', attempt: 0 }, you: null, show: null, announcement: null },
  ...{ products: [], sales: [], reservations: [], waits: [], chat: [], viewers: 0, hearts: 0, isComplete: false },
};

const newest = new WeakMap<StampedeClient, { readonly version: number; readonly values: ShowValues }>();

/** Returns the same object until the next change. */
function valuesOf(client: StampedeClient): ShowValues {
  const { version } = client;
  const known = newest.get(client);
  if (known?.version === version) return known.values;
  const values = readValues(client);
  newest.set(client, { version, values });
  return values;
}

function readValues(client: StampedeClient): ShowValues {
  const { model, status, you } = client;
  const { show, announcement, viewers, hearts, isComplete } = model;
  return {
    ...{ client, status, you, show, announcement, viewers, hearts, isComplete },
    products: [...model.products.values()],
    sales: [...model.sales.values()],
    reservations: [...model.reservations.values()],
    waits: [...model.waits.values()],
    chat: [...model.chat],
  };
}

const noSubscription = () => () => {};
const nothing = (): ShowValues => NOTHING;

/** Renders again when the client changes. */
function useValues(client: StampedeClient | null): ShowValues {
  const subscribe = useMemo(
    () => (client === null ? noSubscription : (onChange: () => void) => client.on('change', onChange)),
    [client],
  );
  return useSyncExternalStore(subscribe, () => (client === null ? NOTHING : valuesOf(client)), nothing);
}

/** Leaves out what is undefined. */
const given = (options: { [Name in keyof ClientOptions]?: ClientOptions[Name] | undefined }): Partial<ClientOptions> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/**
 * Connects to a show while the component is mounted, and renders again when it changes. Another
 * `url`, `show`, `codec` or fixed token makes a new connection; of a token function the newest one
 * is called. Throws a TypeError for an invalid URL.
 */
export function useShow(options: ClientOptions): ShowValues {
  const [client, setClient] = useState<StampedeClient | null>(null);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const { url, show, codec } = options;
  const isFunction = typeof options.token === 'function';
  const fixed = typeof options.token === 'string' ? options.token : undefined;
  useEffect(() => {
    const fetched = async (): Promise<string> => {
      const { token } = latest.current;
      return typeof token === 'function' ? token() : '';
    };
    const token = isFunction ? fetched : fixed;
    const { WebSocket, random, requestTimeoutMs } = latest.current;
    const chosen = { token, codec, WebSocket, random, requestTimeoutMs };
    const made = connect({ url, show, ...given(chosen) });
    setClient(made);
    return () => {
      made.close();
      setClient(null);
    };
  }, [url, show, codec, isFunction, fixed]);
  return useValues(client);
}

/**
 * Returns the time until a sale opens or closes, by the clock of the server, or null if neither is
 * planned. Renders each second, and ten times a second below ten seconds.
 */
export function useCountdown(client: StampedeClient | null, sale: string): CountdownReading | null {
  const [reading, setReading] = useState<CountdownReading | null>(null);
  useEffect(() => {
    setReading(null);
    return client === null ? undefined : watchCountdown(client, sale, setReading);
  }, [client, sale]);
  return reading;
}

/** A function that reserves, and how its last call ended. */
export interface ReserveValues {
  /** Reserves all items or none. Pressed again before a definite result, it gets the first one. */
  readonly reserve: (request: ReserveRequest) => Promise<Outcome<ReserveResult>>;
  /** A call has no result yet. */
  readonly isPending: boolean;
  /** Of the last call; null before the first one, and after `reset`. */
  readonly outcome: Outcome<ReserveResult> | null;
  /** Forgets the outcome. */
  readonly reset: () => void;
}

/** Reserves, and renders again with the outcome. */
export function useReserve(client: StampedeClient | null): ReserveValues {
  const [pending, setPending] = useState(0);
  const [outcome, setOutcome] = useState<Outcome<ReserveResult> | null>(null);
  const reserve = useCallback<ReserveValues['reserve']>(
    async (request) => {
      setPending((calls) => calls + 1);
      const found = client === null ? NOT_CONNECTED : await client.reserve(request);
      setPending((calls) => calls - 1);
      setOutcome(found);
      return found;
    },
    [client],
  );
  const reset = useCallback(() => setOutcome(null), []);
  return { reserve, isPending: pending > 0, outcome, reset };
}
