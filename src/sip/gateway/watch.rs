//! What an operator hears of trunks: one line whenever one begins or ceases to answer, to register, or to have room.

use tokio::sync::watch;

use crate::stack::{Registration, Stack, TrunkId, TrunkState};

/// Watches one trunk for as long as the signalling lives.
pub(super) async fn watch(stack: Stack, trunk: TrunkId, name: String) {
    let Some(mut states) = stack.trunk(trunk) else { return };
    drop(stack);
    let mut before = *states.borrow_and_update();
    tell_gauges(&name, before);
    loop {
        if changed(&mut states).await.is_none() {
            return;
        }
        let now = *states.borrow_and_update();
        tell_gauges(&name, now);
        match (before.healthy, now.healthy) {
            (true, false) => tracing::warn!(trunk = name, "a trunk does not answer any more; it is tried last"),
            (false, true) => tracing::info!(trunk = name, "a trunk answers again"),
            _ => {}
        }
        if before.registration != now.registration {
            match now.registration {
                Registration::Registered => tracing::info!(trunk = name, "registered: calls find us"),
                // 503 is said by us, where it could not be connected to.
                Registration::Refused(code @ (408 | 503)) => {
                    tracing::warn!(
                        trunk = name,
                        code,
                        "a trunk could not be registered at: no calls come in by it until it answers"
                    );
                }
                Registration::Refused(code) => {
                    tracing::warn!(
                        trunk = name,
                        code,
                        "a trunk refuses our registration: no calls come in by it; check username, password and domain"
                    );
                }
                Registration::None => {}
            }
        }
        if !before.is_nearly_full() && now.is_nearly_full() {
            tracing::warn!(
                trunk = name,
                sessions = now.sessions,
                limit = now.limit,
                "a trunk is nearly full; calls on top of its limit are refused"
            );
        }
        before = now;
    }
}

async fn changed(states: &mut watch::Receiver<TrunkState>) -> Option<()> {
    states.changed().await.ok()
}

fn tell_gauges(name: &str, state: TrunkState) {
    metrics::gauge!("sip_trunk_healthy", "trunk" => name.to_owned()).set(f64::from(u8::from(state.healthy)));
    metrics::gauge!("sip_trunk_sessions", "trunk" => name.to_owned()).set(state.sessions as f64);
    let registered = state.registration == Registration::Registered;
    metrics::gauge!("sip_trunk_registered", "trunk" => name.to_owned()).set(f64::from(u8::from(registered)));
}
