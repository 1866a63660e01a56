//! Faults of ours: a panic ends the piece of work that it came up in, and not the task that has more to do.
//!
//! Tasks that live as long as a meeting or the server do their work piece by piece through [`contained`]. What a panic
//! means is theirs to say: one piece left out, or another task with what is left.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// Does a piece of work; `None` if it panicked, which is counted and logged under that name. The panic itself has been
/// reported where it happened.
///
/// Unwind safety is the caller's promise: what the work had in hand is thrown away or checked.
pub(crate) async fn contained<T>(what: &'static str, work: impl Future<Output = T>) -> Option<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await.ok();
    if done.is_none() {
        metrics::counter!("signaling_faults_total", "in" => what).increment(1);
        tracing::error!(what, "a fault of this program was contained; please report it with the lines before this one");
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[allow(clippy::panic, reason = "that is what is tested")]
    async fn a_panic_costs_one_piece_of_work() {
        assert_eq!(contained("test", async { 1 }).await, Some(1));
        assert_eq!(contained("test", async { panic!("on purpose") }).await, None::<u32>);
    }
}
