/** Series that make each alert fire, 15 seconds between values, in the notation of promtool. */
type Series = Readonly<Record<string, string | null>>;

const N = 'node="n1"';
const constant = (value: number): string => `${value}x320`;
const growing = (by: number): string => `0+${by}x320`;
const state = (name: string): Series => ({
  [`stampede_redis_state{${N},state="ok"}`]: constant(0),
  [`stampede_redis_state{${N},state="${name}"}`]: constant(1),
});

/** A busy engine without trouble. */
export const HEALTHY: Series = {
  [`stampede_build_info{${N},version="1.0.0"}`]: constant(1),
  [`stampede_ready{${N}}`]: constant(1),
  [`stampede_redis_state{${N},state="ok"}`]: constant(1),
  [`stampede_redis_state{${N},state="lost"}`]: constant(0),
  [`stampede_redis_info{${N},durability="everysec"}`]: constant(1),
  [`stampede_redis_reconnects_total{${N}}`]: constant(1),
  [`stampede_embedded_redis_restarts_total{${N}}`]: constant(0),
  [`stampede_redis_memory_used_bytes{${N}}`]: constant(500),
  [`stampede_redis_memory_max_bytes{${N}}`]: constant(1000),
  [`stampede_clock_error_seconds{${N}}`]: constant(0.001),
  [`stampede_connections{${N}}`]: constant(1000),
  [`stampede_joins_total{${N},role="buyer"}`]: growing(30),
  [`stampede_joins_refused_total{${N},code="show_not_found"}`]: growing(1),
  [`stampede_closes_total{${N},code="4001"}`]: constant(3),
  [`stampede_decisions_total{${N},outcome="sold_out"}`]: growing(900),
  [`stampede_decision_seconds_bucket{${N},le="0.25"}`]: growing(100),
  [`stampede_decision_seconds_bucket{${N},le="1"}`]: growing(100),
  [`stampede_decision_seconds_bucket{${N},le="+Inf"}`]: growing(100),
  [`stampede_job_last_run_timestamp_seconds{${N},task="sweep"}`]: growing(15),
  [`stampede_books_verified_total{${N},result="untrusted"}`]: constant(0),
  [`stampede_jobs_total{${N},queue="q",outcome="failed"}`]: constant(1),
  [`stampede_http_request_seconds_count{${N},status="200"}`]: growing(150),
  [`nodejs_eventloop_lag_p99_seconds{${N}}`]: constant(0.012),
  [`process_open_fds{${N}}`]: constant(1100),
  [`process_max_fds{${N}}`]: constant(65536),
  [`stampede_worker_up{${N},worker="1"}`]: constant(1),
  [`stampede_worker_restarts_total{${N},worker="1"}`]: constant(1),
};

interface AlertCase {
  readonly alert: string;
  /** Added to the healthy series, or replaces them; null removes one. */
  readonly series: Series;
  readonly evalTime?: string;
}

const alertCase = (alert: string, series: Series, evalTime?: string): AlertCase =>
  evalTime === undefined ? { alert, series } : { alert, series, evalTime };

export const ALERT_CASES: readonly AlertCase[] = [
  alertCase('StampedeRedisUnreachable', state('refused')),
  alertCase('StampedeRedisTls', state('tls_untrusted')),
  alertCase('StampedeRedisAccess', state('no_permission')),
  alertCase('StampedeRedisReadOnly', state('replica')),
  alertCase('StampedeRedisBusy', state('busy')),
  alertCase('StampedeRedisFull', state('full')),
  alertCase('StampedeRedisUnsuitable', state('evicting')),
  alertCase('StampedeRedisReconnects', { [`stampede_redis_reconnects_total{${N}}`]: growing(0.2) }),
  alertCase('StampedeEmbeddedRedisRestarted', { [`stampede_embedded_redis_restarts_total{${N}}`]: '0x20 1x300' }),
  alertCase('StampedeRedisMemory', { [`stampede_redis_memory_used_bytes{${N}}`]: constant(900) }),
  alertCase('StampedeRedisFillsUp', { [`stampede_redis_memory_full_seconds{${N}}`]: constant(86_400) }),
  alertCase('StampedeRedisForgets', { [`stampede_redis_info{${N},durability="memory"}`]: constant(1) }),
  alertCase('StampedeClockError', { [`stampede_clock_error_seconds{${N}}`]: constant(0.5) }),
  alertCase('StampedeConnectionsRefused', { [`stampede_joins_refused_total{${N},code="overloaded"}`]: growing(60) }),
  alertCase('StampedeTokensRefused', { [`stampede_joins_refused_total{${N},code="unauthenticated"}`]: growing(60) }),
  alertCase('StampedeViewersDropped', { [`stampede_closes_total{${N},code="4001"}`]: growing(10) }),
  alertCase('StampedeReconnectStorm', { [`stampede_joins_total{${N},role="buyer"}`]: growing(300) }),
  alertCase('StampedeBooksUntrusted', { [`stampede_books_verified_total{${N},result="untrusted"}`]: '0x20 1x300' }),
  alertCase('StampedeReservesFail', { [`stampede_decisions_total{${N},outcome="internal"}`]: growing(60) }),
  alertCase('StampedeReservesSlow', { [`stampede_decision_seconds_bucket{${N},le="0.25"}`]: growing(90) }),
  alertCase('StampedeJobsStopped', { [`stampede_job_last_run_timestamp_seconds{${N},task="sweep"}`]: constant(9) }),
  alertCase('StampedeJobsFail', { [`stampede_jobs_total{${N},queue="q",outcome="failed"}`]: growing(1) }),
  alertCase('StampedeApiFails', { [`stampede_http_request_seconds_count{${N},status="503"}`]: growing(50) }),
  alertCase('StampedeMissing', { [`stampede_build_info{${N},version="1.0.0"}`]: null }),
  alertCase('StampedeNotReady', { [`stampede_ready{${N}}`]: constant(0) }),
  alertCase('StampedeEventLoopDelay', { [`nodejs_eventloop_lag_p99_seconds{${N}}`]: constant(0.4) }),
  alertCase('StampedeOpenFiles', { [`process_open_fds{${N}}`]: constant(60_000) }),
  alertCase('StampedeWorkerDown', { [`stampede_worker_up{${N},worker="1"}`]: constant(0) }),
  alertCase('StampedeWorkerRestarts', { [`stampede_worker_restarts_total{${N},worker="1"}`]: growing(0.1) }),
  alertCase('StampedeTwoReleases', { 'stampede_build_info{node="n2",version="1.1.0"}': constant(1) }, '65m'),
];
