//! The engine's measures of a network, in signalling's words.

use engine::clock::Micros;
use engine::health as media;
use engine::id::PublicationId;
use signaling::ports::{
    DownlinkHealth, HealthLimit, HealthReason, MediaHealth, MixHealth, MixedHealth, SlotHealth, UplinkHealth,
};

use super::media::publication_kind;

/// `mix` is of the mix that the endpoint hears, `mixed` asks how a publication goes into one.
pub(super) fn health(
    health: media::Health,
    mix: Option<MixHealth>,
    mixed: impl Fn(PublicationId) -> Option<MixedHealth>,
) -> MediaHealth {
    MediaHealth {
        down: health.down.map(down),
        slots: health.slots.into_iter().map(slot).collect(),
        up: health.up.into_iter().map(|line| up(line, mixed(line.publication))).collect(),
        mix,
    }
}

fn down(down: media::Downlink) -> DownlinkHealth {
    DownlinkHealth {
        target: down.target,
        arriving: down.arriving,
        loss_permille: down.loss_permille,
        round_trip: down.round_trip.map(milliseconds),
        queue: milliseconds(down.queue),
        limit: match down.limit {
            media::Limit::Nothing => HealthLimit::Nothing,
            media::Limit::Queue => HealthLimit::Queue,
            media::Limit::Loss => HealthLimit::Loss,
            media::Limit::Silence => HealthLimit::Silence,
            media::Limit::Client => HealthLimit::Client,
            media::Limit::Operator => HealthLimit::Operator,
        },
    }
}

fn slot(slot: media::SlotHealth) -> SlotHealth {
    SlotHealth {
        mid: slot.mid,
        publication_id: slot.publication.0,
        layer: slot.layer.map(|layer| layer.0),
        wanted: slot.wanted.0,
        bitrate: slot.rate,
        reason: match slot.reason {
            media::Reason::Wanted => HealthReason::Wanted,
            media::Reason::Network => HealthReason::Network,
            media::Reason::Source => HealthReason::Source,
        },
    }
}

fn up(up: media::Uplink, mixed: Option<MixedHealth>) -> UplinkHealth {
    UplinkHealth {
        publication_id: up.publication.0,
        kind: publication_kind(up.kind),
        bitrates: up.rates.to_vec(),
        packets: up.packets,
        loss_permille: up.loss_permille,
        missing_permille: up.missing_permille,
        jitter: milliseconds(up.jitter),
        mixed,
    }
}

fn milliseconds(time: Micros) -> u32 {
    u32::try_from(time.0 / 1_000).unwrap_or(u32::MAX)
}
