//! How much one caller may ask for: so many reads and so many writes a second, in buckets of their own.
//!
//! ```text
//! request -> credential known? -> the account or participant that it proved to be -+
//!                     no -------> its network ------------------------------------+-> bucket -> on, or 429
//! ```
//!
//! Whose a request is is looked up here, not proven: a handler that believes a credential leaves its hash with us
//! ([`Rates::learn`]), and from then on it has its owner's bucket. So a request that is refused costs a hash and two
//! look-ups, no store, no signature and none of its body; and whoever makes credentials up shares one bucket with
//! everybody in their network. The buckets are governor's (GCRA).

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dashmap::DashMap;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::attempts::network;
use super::client::{SESSION_COOKIE, bearer, cookie, ip_of, no_nul};
use super::error::ApiError;
use super::state::AppState;
use crate::auth::hash;
use crate::id::{ParticipantId, UserId};

/// A bucket holds so many seconds of its rate: what a page asks for when it opens comes at once.
const SECONDS: u32 = 10;
/// Callers with a bucket. When there are more, and none of them has been quiet, newcomers from networks share one.
const CALLERS: usize = 100_000;
/// Credentials that are known. When there are more, all are forgotten and learned anew.
const CREDENTIALS: usize = 100_000;
/// Requests between two looks at how many callers there are.
const LOOK: usize = 1024;

/// How many requests a second one caller may make; 0: as many as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiRates {
    /// `GET` and `HEAD`.
    pub reads: u32,
    /// Everything else.
    pub writes: u32,
}

impl Default for ApiRates {
    fn default() -> Self {
        Self { reads: 200, writes: 100 }
    }
}

/// Whose a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    User(UserId),
    Participant(ParticipantId),
    Network(IpAddr),
    /// Of one network too many.
    Others,
}

impl Whose {
    fn name(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Participant(_) => "participant",
            Self::Network(_) | Self::Others => "network",
        }
    }
}

type Buckets<C> =
    RateLimiter<Whose, DashMapStateStore<Whose>, C, governor::middleware::NoOpMiddleware<<C as Clock>::Instant>>;

/// Everybody's buckets.
pub(super) struct Rates<C: Clock = DefaultClock> {
    reads: Option<Buckets<C>>,
    writes: Option<Buckets<C>>,
    clock: C,
    known: DashMap<Vec<u8>, Whose>,
    seen: AtomicUsize,
    is_full: AtomicBool,
}

impl Rates {
    pub(super) fn new(rates: ApiRates) -> Self {
        Self::with_clock(rates, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(rates: ApiRates, clock: C) -> Self {
        let buckets = |rate| {
            let rate = NonZeroU32::new(rate)?;
            let quota = Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::new(SECONDS)?));
            Some(RateLimiter::dashmap_with_clock(quota, clock.clone()))
        };
        Self {
            reads: buckets(rates.reads),
            writes: buckets(rates.writes),
            clock: clock.clone(),
            known: DashMap::new(),
            seen: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
        }
    }

    /// Notes whose a credential is, once it has been proven.
    pub(super) fn learn(&self, credential: &[u8], whose: Whose) {
        if self.known.contains_key(credential) {
            return;
        }
        if self.known.len() >= CREDENTIALS {
            self.known.clear();
        }
        self.known.insert(credential.to_vec(), whose);
    }

    /// Whose a request is, as far as can be told without proving anything.
    fn whose(&self, headers: &HeaderMap, ip: IpAddr) -> Whose {
        let given = [bearer(headers), cookie(headers, SESSION_COOKIE)];
        let known = given.into_iter().flatten().find_map(|given| self.known.get(&hash(given)).map(|whose| *whose));
        known.unwrap_or_else(|| Whose::Network(network(ip)))
    }

    /// Takes a request out of its bucket, or says how long to wait.
    fn take(&self, whose: Whose, is_read: bool) -> Result<(), Duration> {
        let Some(buckets) = (if is_read { &self.reads } else { &self.writes }) else { return Ok(()) };
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK) {
            self.look();
        }
        let whose = match whose {
            Whose::Network(_) if self.is_full.load(Ordering::Relaxed) => Whose::Others,
            other => other,
        };
        buckets.check_key(&whose).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// When there are too many callers, forgets those whose bucket is full again; with nothing to forget, no more get one.
    fn look(&self) {
        if self.callers() >= CALLERS {
            self.forget();
        }
    }

    /// Forgets whoever has been quiet long enough for their bucket to be full again.
    pub(super) fn forget(&self) {
        self.reads.iter().chain(&self.writes).for_each(RateLimiter::retain_recent);
        self.is_full.store(self.callers() >= CALLERS, Ordering::Relaxed);
    }

    fn callers(&self) -> usize {
        self.reads.iter().chain(&self.writes).map(RateLimiter::len).max().unwrap_or_default()
    }
}

/// The layer in front of every route of the API.
pub(super) async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if request.uri().query().is_some_and(|query| query.contains("%00")) {
        return no_nul().into_response();
    }
    let ip = ip_of(request.headers(), request.extensions(), state.behind_proxy);
    let whose = state.rates.whose(request.headers(), ip);
    // As with connections: this machine itself is no visitor.
    if matches!(whose, Whose::Network(ip) if ip.is_loopback()) && !state.behind_proxy {
        return next.run(request).await;
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    match state.rates.take(whose, is_read) {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let what = if is_read { "read" } else { "write" };
            metrics::counter!("signaling_http_limited_total", "what" => what, "whose" => whose.name()).increment(1);
            too_many(wait).into_response()
        }
    }
}

fn too_many(wait: Duration) -> ApiError {
    // Whole seconds are all that the header can say.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let text =
        "You ask for more at once than this server gives to one caller. Wait as long as Retry-After says, then go on.";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", text).retry_after(seconds.max(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use axum::http::{HeaderValue, header};
    use governor::clock::FakeRelativeClock;

    const RATES: ApiRates = ApiRates { reads: 100, writes: 10 };
    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn rates() -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Rates::with_clock(RATES, clock.clone()), clock)
    }

    fn someone() -> Whose {
        Whose::User(UserId::generate())
    }

    fn taken(rates: &Rates<FakeRelativeClock>, whose: Whose, is_read: bool) -> usize {
        (0..10_000).take_while(|_| rates.take(whose, is_read).is_ok()).count()
    }

    #[test]
    fn ten_seconds_worth_comes_at_once_then_so_many_a_second_and_a_refusal_says_how_long_to_wait() {
        let (rates, clock) = rates();
        let ada = someone();
        assert_eq!(taken(&rates, ada, false), 100);
        let wait = rates.take(ada, false).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100), "one of ten a second");
        clock.advance(wait - Duration::from_millis(1));
        assert!(rates.take(ada, false).is_err());
        clock.advance(Duration::from_millis(1));
        assert!(rates.take(ada, false).is_ok(), "to wait is enough: what was refused took nothing");
        assert!(rates.take(ada, false).is_err());
        clock.advance(Duration::from_secs(60));
        assert_eq!(taken(&rates, ada, false), 100);
    }

    #[test]
    fn reads_writes_and_callers_do_not_take_from_each_other() {
        let (rates, _) = rates();
        let (ada, bob) = (someone(), someone());
        assert_eq!(taken(&rates, ada, false), 100);
        assert_eq!(taken(&rates, ada, true), 1000);
        assert_eq!((taken(&rates, bob, false), taken(&rates, bob, true)), (100, 1000));
        let free = Rates::with_clock(ApiRates { reads: 0, writes: 0 }, FakeRelativeClock::default());
        assert_eq!(taken(&free, ada, false), 10_000);
    }

    #[test]
    fn a_credential_counts_as_its_network_until_it_has_been_proven() {
        let (rates, _) = rates();
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer made-up"));
        assert_eq!(rates.whose(&headers, HOME), Whose::Network(HOME));
        let ada = someone();
        rates.learn(&hash("made-up"), ada);
        assert_eq!(rates.whose(&headers, HOME), ada);
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer another"));
        assert_eq!(rates.whose(&headers, HOME), Whose::Network(HOME));
        headers.insert(header::COOKIE, HeaderValue::from_static("plenum_session=made-up"));
        assert_eq!(rates.whose(&headers, HOME), ada, "by whatever is known");
    }

    #[test]
    fn however_many_networks_come_buckets_are_bounded_and_people_keep_theirs() {
        let (rates, clock) = rates();
        let ada = someone();
        assert_eq!(taken(&rates, ada, false), 100);
        let networks = |from: u32, count: u32| (from..from + count).map(|bits| Whose::Network(IpAddr::V4(bits.into())));
        for network in networks(0, 2 * CALLERS as u32) {
            let _ = rates.take(network, false);
        }
        let buckets = rates.writes.as_ref().unwrap();
        assert!(buckets.len() <= CALLERS + 2 * LOOK, "{}", buckets.len());
        assert!(rates.take(ada, false).is_err(), "nobody gets a new bucket by a flood of others");
        assert!(rates.take(someone(), false).is_ok(), "nor is shut out by it");
        let mut late = networks(u32::MAX - 1000, 1000);
        assert!(late.any(|network| rates.take(network, false).is_err()), "one network too many shares with others");
        clock.advance(Duration::from_secs(60));
        rates.forget();
        assert_eq!(buckets.len(), 0, "who was quiet is forgotten");
        assert!(networks(0, 1000).all(|network| rates.take(network, false).is_ok()));
    }
}
