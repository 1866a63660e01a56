//! Offers of real clients with the answers they got, and the rules one by one. `UPDATE_GOLDEN=1` rewrites the answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests"
)]

use std::io::Cursor;
use std::path::PathBuf;

use proptest::prelude::*;
use rtc_sdp::SessionDescription;

use super::*;

const PAGE: &str = include_str!("testdata/chromium_page.sdp");
const UNTRIMMED: &str = include_str!("testdata/chromium_untrimmed.sdp");
const SIMULCAST: &str = include_str!("testdata/chromium_simulcast.sdp");
const H264_ONLY: &str = include_str!("testdata/chromium_h264_only.sdp");
const SENDRECV: &str = include_str!("testdata/chromium_sendrecv.sdp");
const GSTREAMER: &str = include_str!("testdata/gstreamer_whip.sdp");
const OBS: &str = include_str!("testdata/obs_whip.sdp");

fn answer_to(offer: &str) -> Result<Negotiated, SdpError> {
    answer_after(offer, None)
}

/// The answer to a further offer after the first; SSRCs are counted on.
fn answer_after(offer: &str, before: Option<&Negotiated>) -> Result<Negotiated, SdpError> {
    let ice = IceCredentials { ufrag: "s0abcdefgh".into(), pwd: "abcdefghijklmnopqrstuvwx".into() };
    let fingerprint = format!("sha-256 {}", ["AB"; 32].join(":"));
    let candidates = ["192.0.2.1:8080".parse().unwrap(), "[2001:db8::1]:8080".parse().unwrap()];
    let mut next = if before.is_some() { 2_000 } else { 1_000 };
    let mut new_ssrc = || {
        next += 1;
        next
    };
    let params = AnswerParams {
        ice: &ice,
        fingerprint: &fingerprint,
        candidates: &candidates,
        session_id: 7,
        new_ssrc: &mut new_ssrc,
    };
    match before {
        None => negotiate(offer, params),
        Some(before) => negotiate_again(offer, params, &before.agreement),
    }
}

/// An offer with so many receive lines for pictures more, as a browser adds them.
fn grown(offer: &str, count: usize) -> String {
    let last = offer.rfind("\r\nm=").unwrap();
    let line = &offer[last + 2..];
    let mid = line.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap();
    let mut mids = Vec::new();
    let mut grown = offer.to_owned();
    for at in 0..count {
        let new = format!("g{at}");
        grown.push_str(&line.replace(&format!("a=mid:{mid}\r\n"), &format!("a=mid:{new}\r\n")));
        mids.push(new);
    }
    let group = offer.lines().find(|line| line.starts_with("a=group:BUNDLE")).unwrap();
    grown.replace(group, &format!("{group} {}", mids.join(" ")))
}

fn golden(name: &str, offer: &str) -> Negotiated {
    let negotiated = answer_to(offer).unwrap();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("endpoint/sdp/testdata/{name}.answer.sdp"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &negotiated.answer).unwrap();
    }
    assert_eq!(negotiated.answer, std::fs::read_to_string(&path).unwrap(), "{name}");
    SessionDescription::unmarshal(&mut Cursor::new(negotiated.answer.as_bytes())).expect("another parser reads it");
    negotiated
}

/// The lines of the section with that mid.
fn section<'a>(sdp: &'a str, mid: &str) -> Vec<&'a str> {
    let sections = sdp.split("\r\nm=").skip(1);
    let mut found = sections.filter(|section| section.lines().any(|line| line == format!("a=mid:{mid}")));
    found.next().unwrap_or_else(|| panic!("no section {mid}")).lines().collect()
}

fn opus(payload_type: u8, red: Option<u8>) -> Vec<NegotiatedCodec> {
    vec![NegotiatedCodec { codec: Codec::Opus, payload_type, rtx_payload_type: None, red_payload_type: red }]
}

fn vp8(payload_type: u8, rtx: u8) -> Vec<NegotiatedCodec> {
    vec![NegotiatedCodec { codec: Codec::Vp8, payload_type, rtx_payload_type: Some(rtx), red_payload_type: None }]
}

#[test]
fn the_page_of_a_meeting_gets_its_send_lines_and_slots() {
    let negotiated = golden("chromium_page", PAGE);
    assert_eq!(negotiated.sends.len(), 2);
    let camera = &negotiated.sends[1];
    assert_eq!((camera.mid.as_str(), camera.kind), ("1", MediaKind::Video));
    assert_eq!((camera.ssrc, camera.rtx_ssrc), (Some(751_118_903), Some(3_061_025_827)));
    assert_eq!(camera.codecs, vp8(96, 97));
    assert_eq!(negotiated.sends[0].ssrc, Some(2_350_716_537));
    assert_eq!(negotiated.sends[0].codecs, opus(111, None));

    let kinds: Vec<_> = negotiated.slots.iter().map(|slot| slot.kind).collect();
    assert_eq!(kinds, [[MediaKind::Audio; 3].as_slice(), &[MediaKind::Video; 4]].concat());
    assert!(negotiated.slots.iter().all(|slot| slot.rtx_ssrc.is_some() == (slot.kind == MediaKind::Video)));
    assert_eq!(
        negotiated.extensions,
        ExtensionIds {
            audio_level: Some(1),
            transport_cc: Some(3),
            mid: Some(4),
            rid: Some(10),
            repaired_rid: Some(11),
            dependency_descriptor: None,
        }
    );
}

#[test]
fn a_slot_declares_its_ssrcs_and_an_msid_of_its_own() {
    let negotiated = answer_to(PAGE).unwrap();
    let mut msids = Vec::new();
    for slot in &negotiated.slots {
        let lines = section(&negotiated.answer, &slot.mid);
        assert!(lines.contains(&"a=sendonly"));
        assert!(lines.contains(&format!("a=ssrc:{} cname:plenum", slot.ssrc).as_str()));
        let groups = lines.iter().filter(|line| line.starts_with("a=ssrc-group:FID ")).count();
        assert_eq!(groups, usize::from(slot.rtx_ssrc.is_some()), "never an SSRC without its FID");
        msids.extend(lines.iter().filter(|line| line.starts_with("a=msid:")).copied());
    }
    let count = msids.len();
    msids.sort_unstable();
    msids.dedup();
    assert_eq!((count, msids.len()), (7, 7));
}

#[test]
fn rfc3264_s6_the_answer_keeps_the_order_of_lines_and_their_mids() {
    let negotiated = golden("chromium_untrimmed", UNTRIMMED);
    let heads = |sdp: &str| -> Vec<(String, String)> {
        let sections = sdp.split("\r\nm=").skip(1);
        sections
            .map(|section| {
                let mid = section.lines().find(|line| line.starts_with("a=mid:")).unwrap();
                (section.split(' ').next().unwrap().to_owned(), mid.to_owned())
            })
            .collect()
    };
    assert_eq!(heads(UNTRIMMED), heads(&negotiated.answer));
    assert!(negotiated.answer.contains("\r\na=group:BUNDLE 0 1 2 3\r\n"), "the data channel is not bundled");
    assert!(section(&negotiated.answer, "4")[0].starts_with("application 0 "));
}

fn layers(negotiated: &Negotiated, at: usize) -> Vec<&str> {
    negotiated.sends[at].layers.iter().map(Rid::as_str).collect()
}

#[test]
fn simulcast_is_answered_layer_by_layer_the_lowest_first() {
    let negotiated = golden("chromium_simulcast", SIMULCAST);
    assert_eq!(layers(&negotiated, 1), ["q", "h", "f"]);
    assert_eq!(negotiated.sends[1].ssrc, None, "its packets are told by MID and RID");
    assert!(negotiated.sends[0].layers.is_empty());
    let video = section(&negotiated.answer, "1");
    for line in [
        "a=rid:q recv",
        "a=rid:f recv",
        "a=simulcast:recv q;h;f",
        "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    ] {
        assert!(video.contains(&line), "{line}");
    }
    assert!(!section(&negotiated.answer, "0").iter().any(|line| line.contains("rtp-stream-id")));
    assert_eq!(negotiated.sends[1].layer(b"h"), Some(crate::id::LayerId(1)));
    assert_eq!(negotiated.sends[1].layer(b"x"), None);
}

#[test]
fn of_each_stream_the_first_alternative_that_can_carry_the_codec_is_taken() {
    let list = |rids: &str, list: &str| {
        let lines = "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n";
        assert!(SIMULCAST.contains(lines));
        let negotiated = answer_to(&SIMULCAST.replace(lines, &format!("{rids}a=simulcast:{list}\r\n"))).unwrap();
        let layers: Vec<String> = negotiated.sends[1].layers.iter().map(|rid| rid.as_str().to_owned()).collect();
        let told: Vec<&str> =
            negotiated.answer.lines().filter_map(|line| line.strip_prefix("a=simulcast:recv ")).collect();
        assert_eq!(told, if layers.is_empty() { vec![] } else { vec![layers.join(";")] });
        layers
    };
    let declared = "a=rid:1 send\r\na=rid:2 send pt=96,97;max-width=640\r\na=rid:3 send max-fps=30\r\n\
                    a=rid:4 send pt=98\r\na=rid:5 recv\r\na=rid:6 send\r\n";
    let cases: [(&str, &[&str]); 10] = [
        ("send 1;2;3", &["1", "2", "3"]),
        ("send 3;1", &["3", "1"]),
        ("send 1;~2;~3", &["1", "2", "3"]),
        ("send 4,2;1", &["2", "1"]),
        ("send ~4,~3;9,1", &["3", "1"]),
        ("recv 5 send 1;2", &["1", "2"]),
        ("send 1;1;2", &["1", "2"]),
        ("send 1;2;3;6", &["1", "2", "3"]),
        ("send 1;4;5", &[]),
        ("recv 1;2", &[]),
    ];
    for (offered, taken) in cases {
        assert_eq!(list(declared, offered), taken, "{offered}");
    }
}

#[test]
fn layers_whose_packets_could_not_be_told_apart_are_one_stream() {
    let without = |uri: &str| -> String {
        SIMULCAST.lines().filter(|line| !line.ends_with(uri)).map(|line| format!("{line}\r\n")).collect()
    };
    for uri in ["sdes:rtp-stream-id", "sdes:repaired-rtp-stream-id"] {
        let negotiated = answer_to(&without(uri)).unwrap();
        assert!(negotiated.sends[1].layers.is_empty() && !negotiated.answer.contains("simulcast"), "{uri}");
        assert!(!negotiated.answer.contains("rtp-stream-id"), "{uri}");
    }
}

#[test]
fn redundant_audio_is_answered_first_where_it_is_offered_of_the_same_opus() {
    let negotiated = answer_to(UNTRIMMED).unwrap();
    let audio: Vec<_> = negotiated.slots.iter().filter(|slot| slot.kind == MediaKind::Audio).collect();
    assert!(!audio.is_empty() && audio.iter().all(|slot| slot.codecs == opus(111, Some(63))));
    assert_eq!(negotiated.sends[0].codecs, opus(111, Some(63)));
    let lines = section(&negotiated.answer, &negotiated.sends[0].mid);
    assert!(lines[0].ends_with("SAVPF 63 111"), "libwebrtc sends what stands first: {}", lines[0]);
    assert!(lines.contains(&"a=rtpmap:63 red/48000/2") && lines.contains(&"a=fmtp:63 111/111"));

    for other in ["111/63", "110/110", "111", "111/x", "/"] {
        let offer = UNTRIMMED.replace("a=fmtp:63 111/111", &format!("a=fmtp:63 {other}"));
        let negotiated = answer_to(&offer).unwrap();
        assert_eq!(negotiated.sends[0].codecs, opus(111, None), "{other}");
        assert!(!negotiated.answer.contains("red/48000"), "{other}");
    }
}

#[test]
fn a_dependency_descriptor_is_noted_but_not_agreed_on_with_vp8() {
    let negotiated = answer_to(SIMULCAST).unwrap();
    assert_eq!(negotiated.extensions.dependency_descriptor, Some(12));
    assert!(!negotiated.answer.contains("dependency-descriptor"));
}

#[test]
fn a_dependency_descriptor_is_agreed_on_where_av1_is_sent_and_vp8_is_not() {
    let offer = |codec: &str, direction: &str| {
        let offer = SIMULCAST.replace("VP8/90000", codec).replace("a=sendonly", direction);
        answer_to(&offer).unwrap().answer.matches("a=extmap:12 https://aomediacodec.github.io").count()
    };
    assert_eq!(offer("AV1/90000", "a=sendonly"), 1);
    assert_eq!(offer("AV1/90000", "a=recvonly"), 1);
    assert_eq!(offer("H264/90000", "a=sendonly"), 0);
}

#[test]
fn a_line_without_a_codec_of_ours_is_rejected_and_the_rest_goes_on() {
    let negotiated = answer_to(&H264_ONLY.replace("H264/90000", "H265/90000")).unwrap();
    assert!(negotiated.answer.contains("\r\na=group:BUNDLE 0\r\n"));
    assert!(section(&negotiated.answer, "1")[0].starts_with("video 0 UDP/TLS/RTP/SAVPF "));
    assert_eq!(negotiated.slots.len(), 1);
}

#[test]
fn of_h264_the_constrained_baseline_is_taken_behind_vp8_where_both_are_offered() {
    let negotiated = golden("chromium_h264_only", H264_ONLY);
    let h264 =
        NegotiatedCodec { codec: Codec::H264, payload_type: 108, rtx_payload_type: None, red_payload_type: None };
    assert_eq!(negotiated.slots[1].codecs, [h264], "of eight: packetization mode 1, 42e01f");
    let lines = section(&negotiated.answer, "1");
    assert!(lines.contains(&"a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"));

    let negotiated = answer_to(UNTRIMMED).unwrap();
    for codecs in [&negotiated.sends[1].codecs, &negotiated.slots.last().unwrap().codecs] {
        let names: Vec<Codec> = codecs.iter().map(|codec| codec.codec).collect();
        assert_eq!(names, Codec::PICTURES, "libwebrtc sends what stands first");
        assert!(codecs.iter().all(|codec| codec.rtx_payload_type.is_some()));
    }
    let others = ["64001f", "4d001f", "42e0", "42e01fff", "42e0zz", "42é0"];
    for other in others {
        let offer = H264_ONLY.replace("42e01f", other).replace("42001f", other);
        let negotiated = answer_to(&offer).unwrap();
        assert!(!negotiated.answer.contains("H264"), "{other}");
    }
    let plain = H264_ONLY.replace("42e01f", "64001f");
    assert_eq!(answer_to(&plain).unwrap().slots[1].codecs[0].payload_type, 102, "plain baseline, if there is no other");
}

#[test]
fn of_vp9_and_av1_the_main_profile_is_taken_in_the_form_that_was_offered() {
    let offer = |vp9: &str, av1: &str| {
        let lines = format!(
            "a=rtpmap:98 VP9/90000\r\na=fmtp:98 {vp9}\r\na=rtpmap:45 AV1/90000\r\na=fmtp:45 {av1}\r\n\
             a=rtpmap:46 rtx/90000\r\na=fmtp:46 apt=45\r\na=rtpmap:96 VP8/90000"
        );
        PAGE.replace("SAVPF 96 97", "SAVPF 96 97 98 45 46").replace("a=rtpmap:96 VP8/90000", &lines)
    };
    let negotiated = answer_to(&offer("profile-id=0", "level-idx=5;profile=0;tier=0")).unwrap();
    let codecs: Vec<_> = negotiated.sends[1].codecs.iter().map(|codec| (codec.codec, codec.rtx_payload_type)).collect();
    assert_eq!(codecs, [(Codec::Vp8, Some(97)), (Codec::Vp9, None), (Codec::Av1, Some(46))]);
    let lines = section(&negotiated.answer, "1");
    assert!(lines.contains(&"a=fmtp:98 profile-id=0") && lines.contains(&"a=fmtp:45 level-idx=5;profile=0;tier=0"));
    assert!(lines[0].ends_with("SAVPF 96 97 98 45 46"), "VP8 first: {}", lines[0]);
    let long = format!("profile=0;x={}", "y".repeat(200));
    for (vp9, av1) in [("profile-id=2", "profile=1"), ("profile-id=1", "profile=2")] {
        assert_eq!(answer_to(&offer(vp9, av1)).unwrap().sends[1].codecs, vp8(96, 97), "{vp9}");
    }
    assert!(!answer_to(&offer("profile-id=0", &long)).unwrap().answer.contains("yyy"), "no more than browsers say");
}

#[test]
fn other_stacks_are_answered_too() {
    let negotiated = golden("gstreamer_whip", GSTREAMER);
    assert_eq!(negotiated.sends.iter().map(|send| send.mid.as_str()).collect::<Vec<_>>(), ["video0", "audio1"]);
    assert_eq!(negotiated.sends[1].codecs, opus(98, None), "OPUS in capitals, on a bundle-only line");
    let negotiated = golden("obs_whip", OBS);
    let codecs: Vec<Codec> = negotiated.sends.iter().flat_map(|send| &send.codecs).map(|codec| codec.codec).collect();
    assert_eq!(codecs, [Codec::Opus, Codec::H264]);
}

#[test]
fn feedback_and_extensions_are_answered_only_where_offered() {
    let answer = answer_to(PAGE).unwrap().answer;
    let video = section(&answer, "1");
    for kind in ["nack", "nack pli", "ccm fir", "transport-cc"] {
        assert!(video.contains(&format!("a=rtcp-fb:96 {kind}").as_str()), "{kind}");
    }
    assert!(!answer.contains("goog-remb") && !answer.contains("abs-send-time"));
    let without_extension: String = PAGE
        .lines()
        .filter(|line| !line.contains(wire::ext::TRANSPORT_CC_URI))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let answer = answer_to(&without_extension).unwrap().answer;
    assert!(!answer.contains("transport-cc"));
}

#[test]
fn an_extension_under_another_id_on_a_later_line_is_not_accepted_there() {
    let moved = PAGE.replacen(
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid",
        1,
    );
    let negotiated = answer_to(&moved).unwrap();
    assert_eq!(negotiated.extensions.mid, Some(9));
    assert!(section(&negotiated.answer, "0").contains(&"a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid"));
    assert!(!section(&negotiated.answer, "1").iter().any(|line| line.ends_with("sdes:mid")));
}

#[test]
fn inactive_stays_inactive_and_takes_no_ssrc() {
    let paused = PAGE.replace("a=recvonly", "a=inactive");
    let negotiated = answer_to(&paused).unwrap();
    assert!(negotiated.slots.is_empty());
    assert!(section(&negotiated.answer, "2").contains(&"a=inactive"));
    assert!(negotiated.answer.contains("a=group:BUNDLE 0 1 2 3 4 5 6 7 8\r\n"));
}

#[test]
fn the_default_candidate_stands_in_the_media_lines() {
    let answer = answer_to(PAGE).unwrap().answer;
    assert!(answer.contains("m=audio 8080 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 192.0.2.1\r\n"));
    assert_eq!(answer.matches("a=candidate:").count(), 2, "once for the bundle");
    assert!(answer.contains(" 192.0.2.1 8080 typ host\r\n") && answer.contains(" 2001:db8::1 8080 typ host\r\n"));
    assert_eq!(answer.matches("a=end-of-candidates").count(), 1);
}

#[test]
fn offers_that_cannot_work_are_refused_with_the_reason() {
    let drop_lines = |start: &str| -> String {
        PAGE.lines().filter(|line| !line.starts_with(start)).map(|line| format!("{line}\r\n")).collect()
    };
    let cases = [
        (SENDRECV.to_owned(), SdpError::SendRecv { line: 1 }),
        (drop_lines("a=sendonly"), SdpError::SendRecv { line: 1 }),
        (drop_lines("a=mid"), SdpError::Mid { line: 1 }),
        (PAGE.replace("a=mid:3", "a=mid:2"), SdpError::Mid { line: 4 }),
        (PAGE.replace("a=mid:0", "a=mid:has blanks"), SdpError::Mid { line: 1 }),
        (drop_lines("a=group"), SdpError::NotBundled { line: 1 }),
        (PAGE.replace("BUNDLE 0 1 2", "BUNDLE 0 2"), SdpError::NotBundled { line: 2 }),
        (drop_lines("a=rtcp-mux"), SdpError::RtcpMux { line: 1 }),
        (drop_lines("a=fingerprint"), SdpError::NoFingerprint),
        (PAGE.replace("fingerprint:sha-256", "fingerprint:sha-1"), SdpError::NoFingerprint),
        (drop_lines("a=setup"), SdpError::Setup),
        (PAGE.replace("a=setup:actpass", "a=setup:holdconn"), SdpError::Setup),
        (drop_lines("a=ice-ufrag"), SdpError::NoIce),
        (PAGE.replace("opus/48000/2", "opus/8000").replace("VP8", "VP7"), SdpError::NothingInCommon),
        (String::new(), SdpError::NothingInCommon),
        ("v=0\r\nnonsense".to_owned(), SdpError::Malformed { line: 2 }),
        (PAGE.replacen("v=0\r\n", "", 1), SdpError::Malformed { line: 1 }),
        ("v=0\r\nm=audio\r\n".to_owned(), SdpError::Malformed { line: 2 }),
        (format!("v=0\r\n{}", "m=audio 9 X 1\r\n".repeat(65)), SdpError::TooManyLines),
        ("v=0\r\n".repeat(MAX_OFFER_LEN / 5 + 1), SdpError::TooLarge),
    ];
    for (offer, error) in cases {
        assert_eq!(answer_to(&offer).err(), Some(error), "{error}");
    }
}

#[test]
fn a_hostile_offer_of_full_length_is_read_in_linear_time() {
    let formats = " 96".repeat(160_000);
    let offer = format!("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF{formats}\r\n");
    assert_eq!(answer_to(&offer), Err(SdpError::NothingInCommon));
    let formats = " 97 97 97".repeat(30_000);
    let parameters = "a;".repeat(100_000);
    let offer = format!(
        "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96{formats}\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 {parameters}\r\n"
    );
    assert!(answer_to(&offer).is_err(), "each payload type is looked at once");
    let lines = "a=rtpmap:96 H264/90000\r\n".repeat(20_000);
    let offer = format!("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n{lines}");
    assert_eq!(answer_to(&offer), Err(SdpError::NothingInCommon));
}

/// Real offers with some lines removed, doubled or replaced.
fn damaged() -> impl Strategy<Value = String> {
    let offers = prop::sample::select(vec![PAGE, UNTRIMMED, SIMULCAST, H264_ONLY, GSTREAMER, OBS]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, "[ -~]{0,30}"), 0..12);
    (offers, edits).prop_map(|(offer, edits)| {
        let mut lines: Vec<String> = offer.lines().map(str::to_owned).collect();
        for (at, edit, text) in edits {
            let at = at.index(lines.len());
            match edit {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                _ => lines[at] = text,
            }
        }
        lines.join("\r\n")
    })
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>(), lines in "(v=0\r\n)?([vmactos]=[ -~]{0,40}\r\n){0,30}") {
        let _ = answer_to(&text);
        let _ = answer_to(&lines);
    }

    /// Whatever a further offer says: what was agreed on before is answered as before, or all of it is refused.
    #[test]
    fn a_damaged_further_offer_is_refused_or_leaves_every_slot_as_it_was(offer in damaged()) {
        let first = answer_to(PAGE).unwrap();
        let _ = continues(&offer, &first.agreement);
        if let Ok(again) = answer_after(&offer, Some(&first)) {
            for slot in &first.slots {
                let declared = format!("a=ssrc:{} cname:plenum", slot.ssrc);
                prop_assert!(section(&again.answer, &slot.mid).contains(&declared.as_str()));
            }
            let mids = |negotiated: &Negotiated| negotiated.sends.iter().map(|line| line.mid.clone()).collect::<Vec<_>>();
            prop_assert_eq!(mids(&again), mids(&first));
            prop_assert!(again.slots.iter().all(|slot| slot.ssrc > 2_000));
        }
    }

    #[test]
    fn an_answer_has_as_many_lines_as_its_offer_and_is_sdp(offer in damaged()) {
        if let Ok(negotiated) = answer_to(&offer) {
            let lines = |sdp: &str| sdp.lines().filter(|line| line.starts_with("m=")).count();
            prop_assert_eq!(lines(&offer), lines(&negotiated.answer));
            prop_assert!(SessionDescription::unmarshal(&mut Cursor::new(negotiated.answer.as_bytes())).is_ok());
            prop_assert!(negotiated.answer.split_inclusive("\r\n").all(|line| line.ends_with("\r\n")));
        }
    }
}

#[test]
fn a_further_offer_gets_new_slots_and_every_line_of_before_is_answered_as_before() {
    let first = answer_to(PAGE).unwrap();
    let offer = grown(PAGE, 40);
    assert!(continues(&offer, &first.agreement));
    let again = answer_after(&offer, Some(&first)).unwrap();
    for slot in &first.slots {
        assert_eq!(section(&again.answer, &slot.mid), section(&first.answer, &slot.mid));
    }
    assert_eq!(again.sends, first.sends);
    assert_eq!((again.extensions, &again.peer_fingerprint), (first.extensions, &first.peer_fingerprint));
    assert_eq!(again.slots.len(), 40, "only those that are new");
    for slot in &again.slots {
        let lines = section(&again.answer, &slot.mid);
        let rtx = slot.rtx_ssrc.unwrap();
        assert!(slot.ssrc > 2_000 && rtx > 2_000, "never one that is taken");
        assert!(lines.contains(&format!("a=ssrc-group:FID {} {rtx}", slot.ssrc).as_str()));
        assert!(lines.contains(&format!("a=msid:slot-{0:08x} track-{0:08x}", slot.ssrc).as_str()));
    }
    // RFC 3264 §8: the same session, the next version.
    assert!(first.answer.contains("\r\no=- 7 1 IN ") && again.answer.contains("\r\no=- 7 2 IN "));
    let third = answer_after(&offer, Some(&again)).unwrap();
    assert_eq!(third.slots, [], "asked again, there is nothing new");
    assert_eq!(answer_after(&grown(&offer, 20), Some(&again)).unwrap_err(), SdpError::TooManyLines);
}

#[test]
fn an_offer_with_other_credentials_or_another_certificate_is_no_further_one() {
    let first = answer_to(PAGE).unwrap();
    let value = |name: &str| PAGE.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    for name in ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:sha-256 "] {
        let old = value(name);
        let new: String = old.chars().rev().collect();
        assert!(!continues(&PAGE.replace(old, &new), &first.agreement), "{name}");
    }
    assert!(continues(PAGE, &first.agreement));
    assert!(!continues("hello", &first.agreement));
    assert!(!continues(PAGE, &Agreement::default()), "who told no password has no connection to go on with");
}

#[test]
fn a_further_offer_that_wants_something_of_before_otherwise_is_refused() {
    let first = answer_to(PAGE).unwrap();
    let refused = |offer: &str| answer_after(offer, Some(&first)).unwrap_err();
    let lines: Vec<usize> = PAGE.match_indices("\r\nm=").map(|(at, _)| at).collect();
    let changed = |line| SdpError::Changed { line };
    // Lines: microphone, camera, three voices, four pictures.
    let shorter = format!("{}\r\n", &PAGE[..lines[8]]);
    let group = PAGE.lines().find(|line| line.starts_with("a=group:BUNDLE")).unwrap();
    let last = group.rsplit(' ').next().unwrap();
    let shorter = shorter.replace(group, group.strip_suffix(last).unwrap().trim_end());
    assert_eq!(refused(&shorter), changed(9));
    let (head, tail) = PAGE.split_at(lines[4]);
    assert_eq!(refused(&format!("{head}{}", tail.replacen("a=recvonly", "a=inactive", 1))), changed(5));
    assert_eq!(refused(&format!("{head}{}", tail.replacen("a=recvonly", "a=sendonly", 1))), changed(5));
    let rejected = PAGE.replacen("\r\nm=audio 9", "\r\nm=audio 0", 1);
    assert_eq!(refused(&rejected), changed(1));
    assert_eq!(refused(&PAGE.replace("extmap:4 ", "extmap:7 ")), changed(1));
    let sends = grown(PAGE, 1);
    let last = sends.rfind("a=recvonly").unwrap();
    let sends = format!("{}a=sendonly{}", &sends[..last], &sends[last + 10..]);
    assert_eq!(refused(&sends), changed(10), "capture is put into the lines that there are");
}

#[test]
fn we_begin_the_handshake_with_who_will_not() {
    for (offered, setup, answered) in [
        ("actpass", Setup::Passive, "a=setup:passive"),
        ("active", Setup::Passive, "a=setup:passive"),
        ("passive", Setup::Active, "a=setup:active"),
    ] {
        let offer = PAGE.replace("a=setup:actpass", &format!("a=setup:{offered}"));
        let negotiated = answer_to(&offer).unwrap();
        assert_eq!(negotiated.setup, setup);
        let lines: Vec<&str> = negotiated.answer.lines().filter(|line| line.starts_with("a=setup")).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| *line == answered), "{lines:?}");
        // Browsers offer actpass again.
        let again = answer_after(&grown(PAGE, 1), Some(&negotiated)).unwrap();
        assert!(again.answer.contains(answered) && again.answer.matches("a=setup").count() == lines.len() + 1);
    }
}
