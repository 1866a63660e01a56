//! What an operator sees: log lines on standard error and Prometheus metrics on `/metrics`.
//!
//! Privacy is kept at the source: our rooms log ids, counts and kinds, never names, addresses, tokens, SDP or chat.
//! Libraries do not know that rule, so of them only errors pass, and a panic is reported by its place, not by its
//! text, which may quote a peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat, Metrics};

/// The rooms of this house, by the names of their crates: the only ones that may log below `error`.
const ROOMS: [&str; 8] = ["plenum", "signaling", "engine", "mixer", "recorder", "sip", "net", "wire"];
/// How often metric values are folded together when nobody reads them.
const UPKEEP: Duration = Duration::from_secs(10);
/// Buckets of everything measured in seconds, from a packet's way through the router to a slow request.
const SECONDS: [f64; 14] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];

/// Starts logging. A second call in one process is ignored, which is what tests want.
pub fn start_logging(log: &Log) {
    let rooms = ROOMS.map(|room| (room, LevelFilter::from_level(log.level)));
    // The DTLS, STUN and SDP crates quote peers in their errors; the engine counts what they report.
    let families = ["rtc", "rtc_dtls", "rtc_stun", "rtc_srtp", "rtc_sdp", "rtc_shared"];
    let filter = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_targets(families.map(|family| (family, LevelFilter::OFF)))
        .with_targets(rooms);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let result = match log.format {
        LogFormat::Human => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    if result.is_ok() {
        std::panic::set_hook(Box::new(report_panic));
    }
}

fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    metrics::counter!("plenum_panics_total").increment(1);
    let (file, line) = info.location().map_or(("unknown", 0), |place| (place.file(), place.line()));
    tracing::error!(file, line, "a task panicked and was ended; this is a bug, please report it with this line");
}

/// The metrics of this process.
#[derive(Clone)]
pub struct Meter {
    handle: PrometheusHandle,
    started: Instant,
}

/// The global recorder of metrics is taken.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be collected: another recorder runs in this process already")]
pub struct MeterTaken;

impl Meter {
    /// Installs the recorder that all rooms write to.
    ///
    /// # Errors
    /// [`MeterTaken`] when one process starts two servers.
    pub fn install() -> Result<Self, MeterTaken> {
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| MeterTaken)?;
        metrics::gauge!("plenum_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        metrics::gauge!("process_start_time_seconds").set(now.as_secs_f64());
        Ok(Self { handle, started: Instant::now() })
    }

    /// Folds histograms until shutdown, so that they do not grow while nobody reads.
    pub async fn upkeep(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => self.handle.run_upkeep(),
            }
        }
    }

    /// `GET /metrics`, see [`may_read`].
    pub fn router(self, access: &Metrics, behind_proxy: bool) -> Router {
        let access = Access { token: access.token.clone(), behind_proxy };
        Router::new().route("/metrics", get(scrape)).with_state(Arc::new((self, access)))
    }

    fn text(&self) -> String {
        metrics::gauge!("plenum_uptime_seconds").set(self.started.elapsed().as_secs_f64());
        if let Some(bytes) = resident_memory() {
            metrics::gauge!("process_resident_memory_bytes").set(bytes);
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            metrics::gauge!("process_open_fds").set(open.count() as f64);
        }
        self.handle.render()
    }
}

struct Access {
    token: Option<String>,
    behind_proxy: bool,
}

/// Figures about a meeting server tell who meets when, so they are not for everybody: with `metrics.token` for those
/// who send it as bearer token; without, for this machine alone. Behind a reverse proxy everybody comes from this
/// machine, hence only the token counts there.
fn may_read(access: &Access, peer: SocketAddr, headers: &HeaderMap) -> bool {
    let Some(token) = &access.token else {
        let forwarded = headers.contains_key(header::FORWARDED) || headers.contains_key("x-forwarded-for");
        return peer.ip().is_loopback() && !access.behind_proxy && !forwarded;
    };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|given| equal(given, token))
}

/// Compares in a time that does not tell how much was right.
fn equal(left: &str, right: &str) -> bool {
    left.len() == right.len() && left.bytes().zip(right.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

async fn scrape(
    State(state): State<Arc<(Meter, Access)>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let (meter, access) = &*state;
    if !may_read(access, peer, &headers) {
        return (
            StatusCode::FORBIDDEN,
            "Metrics are for this machine, or for those who send the token of metrics.token as bearer token.\n",
        )
            .into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], meter.text()).into_response()
}

/// What the kernel counts as resident (proc_pid_status(5)).
fn resident_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((kilobytes * 1024) as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn reads(token: Option<&str>, behind_proxy: bool, peer: &str, headers: &[(&'static str, &str)]) -> bool {
        let access = Access { token: token.map(str::to_owned), behind_proxy };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        may_read(&access, format!("{peer}:1234").parse().unwrap(), &map)
    }

    #[test]
    fn metrics_are_for_this_machine_or_for_the_token() {
        const TOKEN: &str = "0123456789abcdef";
        let bearer = [("authorization", "Bearer 0123456789abcdef")];
        for (token, proxied, peer, headers, expected) in [
            (None, false, "127.0.0.1", &[][..], true),
            (None, false, "192.0.2.1", &[], false),
            (None, true, "127.0.0.1", &[], false),
            (None, false, "127.0.0.1", &[("x-forwarded-for", "192.0.2.1")], false),
            (Some(TOKEN), false, "127.0.0.1", &[], false),
            (Some(TOKEN), true, "192.0.2.1", &bearer, true),
            (Some(TOKEN), true, "192.0.2.1", &[("authorization", "Bearer 0123456789abcdeF")], false),
            (Some(TOKEN), true, "192.0.2.1", &[("authorization", "Basic 0123456789abcdef")], false),
        ] {
            assert_eq!(reads(token, proxied, peer, headers), expected, "{token:?} {proxied} {peer} {headers:?}");
        }
    }

    #[test]
    fn memory_is_measured_in_bytes() {
        assert!(resident_memory().unwrap() > 500_000.0);
    }
}
