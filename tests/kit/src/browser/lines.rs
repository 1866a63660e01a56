//! What a browser would have agreed on by offer and answer.

use std::ops::Range;

use engine::id::{Codec, MediaKind};
use engine::line::{ExtensionIds, NegotiatedCodec, SlotLine};

use super::BrowserPlan;

pub(super) const OPUS: u8 = 111;

pub(super) const RED: u8 = 63;

pub(super) const VP8: u8 = 96;

pub(super) const H264: u8 = 102;

pub(super) const VP9: u8 = 98;

pub(super) const AV1: u8 = 45;

pub(super) const EXTENSIONS: ExtensionIds = ExtensionIds {
    audio_level: Some(1),
    transport_cc: Some(3),
    mid: Some(4),
    rid: Some(10),
    repaired_rid: Some(11),
    dependency_descriptor: Some(12),
};

pub(super) fn opus(redundancy: bool) -> NegotiatedCodec {
    let red_payload_type = redundancy.then_some(RED);
    NegotiatedCodec { codec: Codec::Opus, payload_type: OPUS, rtx_payload_type: None, red_payload_type }
}

pub(super) fn pictures(codecs: &[Codec]) -> Vec<NegotiatedCodec> {
    let agreed = |codec: &Codec| {
        let payload_type = payload_type(*codec);
        NegotiatedCodec {
            codec: *codec,
            payload_type,
            rtx_payload_type: Some(payload_type + 1),
            red_payload_type: None,
        }
    };
    codecs.iter().map(agreed).collect()
}

pub(super) fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => OPUS,
        Codec::Vp8 => VP8,
        Codec::H264 => H264,
        Codec::Vp9 => VP9,
        Codec::Av1 => AV1,
    }
}

pub(super) fn slot_lines(number: u32, plan: BrowserPlan) -> Vec<SlotLine> {
    let base = 500_000 + number * 1_000;
    let audio = (0..plan.audio_slots as u32).map(|at| SlotLine {
        mid: format!("a{at}"),
        kind: MediaKind::Audio,
        ssrc: base + at,
        rtx_ssrc: None,
        codecs: vec![opus(true)],
        dependency_descriptor: None,
    });
    audio.chain(video_lines(number, 0..plan.video_slots)).collect()
}

pub(super) fn video_lines(number: u32, range: Range<usize>) -> impl Iterator<Item = SlotLine> {
    let base = 500_000 + number * 1_000;
    range.map(move |at| SlotLine {
        mid: format!("v{at}"),
        kind: MediaKind::Video,
        ssrc: base + 100 + at as u32,
        rtx_ssrc: Some(base + 200 + at as u32),
        codecs: pictures(&Codec::PICTURES),
        dependency_descriptor: EXTENSIONS.dependency_descriptor,
    })
}
