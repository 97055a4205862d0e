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

/** A client that components share. */
interface Shared {
  readonly client: StampedeClient;
  readonly options: ClientOptions;
  /** Of the component that rendered last. */
  latest: ClientOptions;
  components: number;
}

const shared = new Set<Shared>();

const isFunction = ({ token }: ClientOptions): boolean => typeof token === 'function';
/** A page has one viewer: all token functions count as the same. */
const isSame = (one: ClientOptions, other: ClientOptions): boolean =>
  one.url === other.url &&
  one.show === other.show &&
  one.codec === other.codec &&
  (one.token === other.token || (isFunction(one) && isFunction(other)));

function connectShared(options: ClientOptions): Shared {
  // The client may ask for the token at once.
  const state = { options, latest: options, components: 0 };
  const newestToken = async (): Promise<string> => {
    const { token: newest } = state.latest;
    return typeof newest === 'function' ? newest() : '';
  };
  const client = connect({ ...options, token: isFunction(options) ? newestToken : options.token });
  const made: Shared = Object.assign(state, { client });
  shared.add(made);
  return made;
}

function enter(options: ClientOptions): Shared {
  const found = [...shared].find((one) => isSame(one.options, options)) ?? connectShared(options);
  found.components += 1;
  return found;
}

/** Waits for components that mount at the same moment. */
function leave(left: Shared): void {
  left.components -= 1;
  setTimeout(() => {
    if (left.components === 0 && shared.delete(left)) left.client.close();
  });
}

/**
 * Connects to a show while a component is mounted, and renders again when it changes. Components
 * with the same `url`, `show`, `codec` and token share one connection. Of token functions the
 * newest one is called, and all count as the same. Throws a TypeError for an invalid URL.
 */
export function useShow(options: ClientOptions): ShowValues {
  const [entered, setEntered] = useState<Shared | null>(null);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
    if (entered !== null) entered.latest = options;
  });
  const { url, show, codec, token } = options;
  const isRenewed = typeof token === 'function';
  const fixed = isRenewed ? undefined : token;
  useEffect(() => {
    const { current } = latest;
    const found = enter({ ...current, url, show, codec, token: isRenewed ? current.token : fixed });
    setEntered(found);
    return () => {
      leave(found);
      setEntered(null);
    };
  }, [url, show, codec, isRenewed, fixed]);
  return useValues(entered?.client ?? null);
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
