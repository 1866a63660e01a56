//! Descriptions of real trunks and phones, and the rules of offer and answer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod offers;

use std::net::Ipv4Addr;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 30_000);
const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const OTHER_KEY: &str = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

fn negotiator(srtp: Srtp) -> (Negotiator, StdRng) {
    let mut rng = StdRng::seed_from_u64(3);
    (Negotiator::new(LOCAL, Capabilities { srtp, ..Capabilities::default() }, &mut rng), rng)
}

fn answer(offer: &str) -> Result<(Negotiated, String), Refused> {
    let (mut negotiator, mut rng) = negotiator(Srtp::Allowed);
    negotiator.answer(offer.as_bytes(), &mut rng).map(|(negotiated, text)| (negotiated, text.as_str().to_owned()))
}

fn audio(lines: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{lines}\r\n")
}

fn media_lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("m=")).collect()
}

fn version(text: &Text) -> (&str, u64) {
    let mut origin = text.as_str().lines().nth(1).unwrap().split(' ').skip(1);
    (origin.next().unwrap(), origin.next().unwrap().parse().unwrap())
}

#[test]
fn the_answer_says_what_was_agreed_on() {
    let (mut negotiator, mut rng) = negotiator(Srtp::Allowed);
    let offer = audio("m=audio 4000 RTP/AVP 18 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16");
    let (negotiated, text) = negotiator.answer(offer.as_bytes(), &mut rng).unwrap();
    assert_eq!(negotiated.codec, Codec::Pcma);
    let id = version(&text).0;
    let expected = format!(
        "v=0\r\no=- {id} 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
         m=audio 30000 RTP/AVP 8 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    assert_eq!(text.as_str(), expected);
}

#[test]
fn rfc3264_s6_1_the_order_of_the_offerer_counts() {
    let dynamic = "\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:9 G722/8000";
    for (formats, codec) in
        [("0 8 9 111", Codec::Pcmu), ("9 111 0", Codec::G722), ("111 0", Codec::Opus), ("18 4 8", Codec::Pcma)]
    {
        let offer = audio(&format!("m=audio 4000 RTP/AVP {formats}{dynamic}"));
        assert_eq!(answer(&offer).unwrap().0.codec, codec, "{formats}");
    }
}

#[test]
fn rfc5761_s4_numbers_that_look_like_reports_and_those_that_are_none_are_passed_over() {
    for number in [64, 72, 95, 128, 200] {
        let offer = audio(&format!("m=audio 4000 RTP/AVP {number} 0\r\na=rtpmap:{number} PCMA/8000"));
        assert_eq!(answer(&offer).unwrap().0.codec, Codec::Pcmu, "{number}");
    }
    for number in [63, 96, 127] {
        let offer = audio(&format!("m=audio 4000 RTP/AVP {number} 0\r\na=rtpmap:{number} PCMA/8000"));
        assert_eq!(answer(&offer).unwrap().0.codec, Codec::Pcma, "{number}");
    }
}

#[test]
fn rfc3264_s6_every_other_medium_is_refused_where_it_stands() {
    let offer = audio(
        "m=image 4500 udptl t38\r\nm=audio 0 RTP/AVP 0\r\nm=audio 4000 RTP/AVP 0\r\n\
         m=audio 4002 RTP/AVP 0\r\nm=video 4004 RTP/AVP 96 97",
    );
    let (negotiated, text) = answer(&offer).unwrap();
    assert_eq!(negotiated.media.port(), 4_000);
    let expected = [
        "m=image 0 udptl t38",
        "m=audio 0 RTP/AVP 0",
        "m=audio 30000 RTP/AVP 0",
        "m=audio 0 RTP/AVP 0",
        "m=video 0 RTP/AVP 96 97",
    ];
    assert_eq!(media_lines(&text), expected);
}

#[test]
fn rfc3264_s8_later_descriptions_keep_the_id_and_the_media_and_raise_the_version() {
    let (mut negotiator, mut rng) = negotiator(Srtp::Allowed);
    let offer = audio("m=video 4004 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 0");
    let (_, first) = negotiator.answer(offer.as_bytes(), &mut rng).unwrap();
    let (_, second) = negotiator.answer(offer.as_bytes(), &mut rng).unwrap();
    let third = negotiator.offer(&mut rng);
    let id = version(&first).0;
    assert_eq!([version(&first), version(&second), version(&third)], [(id, 1), (id, 2), (id, 3)]);
    assert_eq!(media_lines(third.as_str()), ["m=video 0 RTP/AVP 96", "m=audio 30000 RTP/AVP 0"]);
}

#[test]
fn a_refused_offer_changes_nothing() {
    let (mut negotiator, mut rng) = negotiator(Srtp::Allowed);
    let (before, _) = negotiator.answer(audio("m=audio 4000 RTP/AVP 0").as_bytes(), &mut rng).unwrap();
    let fax = audio("m=image 4500 udptl t38");
    assert_eq!(negotiator.answer(fax.as_bytes(), &mut rng).unwrap_err(), Refused::NoAudio);
    assert_eq!(negotiator.agreed(), Some(&before));
    let (_, text) = negotiator.answer(audio("m=audio 4000 RTP/AVP 0").as_bytes(), &mut rng).unwrap();
    assert_eq!(version(&text).1, 2);
}

#[test]
fn directions_are_mirrored_and_the_old_hold_is_known() {
    let table = [
        ("", "sendrecv", (true, true)),
        ("a=sendonly", "recvonly", (false, true)),
        ("a=recvonly", "sendonly", (true, false)),
        ("a=inactive", "inactive", (false, false)),
        ("c=IN IP4 0.0.0.0", "recvonly", (false, true)),
        ("c=IN IP4 0.0.0.0\r\na=inactive", "inactive", (false, false)),
    ];
    for (lines, said, (sends, receives)) in table {
        let (negotiated, text) = answer(&audio(&format!("m=audio 4000 RTP/AVP 0\r\n{lines}"))).unwrap();
        assert!(text.contains(&format!("a={said}\r\n")), "{lines}: {text}");
        assert_eq!(negotiated.direction, Direction::new(sends, receives));
    }
    let session = "v=0\r\nc=IN IP4 192.0.2.1\r\na=sendonly\r\nm=audio 4000 RTP/AVP 0\r\n";
    assert_eq!(answer(session).unwrap().0.direction, Direction::RecvOnly);
}

#[test]
fn packets_are_as_long_as_they_want_if_that_is_possible() {
    let table = [
        ("", 20),
        ("a=ptime:20", 20),
        ("a=ptime:30", 30),
        ("a=ptime:60", 60),
        ("a=ptime:25", 20),
        ("a=ptime:0", 20),
        ("a=ptime:20.0", 20),
        ("a=ptime:x", 20),
        ("a=maxptime:10", 10),
        ("a=maxptime:5", 10),
        ("a=ptime:60\r\na=maxptime:40", 40),
        ("a=ptime:30\r\na=maxptime:150", 30),
    ];
    for (lines, ptime) in table {
        let (negotiated, text) = answer(&audio(&format!("m=audio 4000 RTP/AVP 0\r\n{lines}"))).unwrap();
        assert_eq!(negotiated.ptime_ms, ptime, "{lines}");
        assert!(text.contains(&format!("a=ptime:{ptime}\r\n")));
    }
    let opus = answer(&audio("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=ptime:30")).unwrap();
    assert_eq!(opus.0.ptime_ms, 20);
}

#[test]
fn opus_is_sent_at_the_rate_that_they_want_within_reason() {
    for (parameters, bitrate) in [
        ("useinbandfec=1", 48_000),
        ("maxaveragebitrate=24000", 24_000),
        ("stereo=1; MaxAverageBitrate=20000 ;cbr=0", 20_000),
        ("maxaveragebitrate=510000", 48_000),
        ("maxaveragebitrate=1", 6_000),
        ("maxaveragebitrate=-1", 48_000),
    ] {
        let offer = format!("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 {parameters}");
        assert_eq!(answer(&audio(&offer)).unwrap().0.bitrate, bitrate, "{parameters}");
    }
}

#[test]
fn events_count_like_the_codec_where_both_clocks_are_offered() {
    let lines = "a=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:110 telephone-event/48000";
    let events = |formats: &str| {
        answer(&audio(&format!("m=audio 4000 RTP/AVP {formats}\r\n{lines}"))).unwrap().0.events.unwrap()
    };
    assert_eq!((events("96 0 101 110").payload_type.sent, events("96 0 101 110").clock), (110, 48_000));
    assert_eq!((events("0 96 101 110").payload_type.sent, events("0 96 101 110").clock), (101, 8_000));
    assert_eq!(events("96 101").clock, 8_000);
    assert_eq!(answer(&audio("m=audio 4000 RTP/AVP 0 101")).unwrap().0.events, None, "101 means nothing by itself");
}

#[test]
fn reports_go_to_the_next_port_unless_something_else_is_said() {
    let control = |lines: &str| answer(&audio(&format!("m=audio 4000 RTP/AVP 0\r\n{lines}"))).unwrap();
    assert_eq!(control("").0.control.unwrap().to_string(), "192.0.2.1:4001");
    assert_eq!(control("a=rtcp:5000").0.control.unwrap().to_string(), "192.0.2.1:5000");
    assert_eq!(control("a=rtcp:5000 IN IP4 192.0.2.9").0.control.unwrap().to_string(), "192.0.2.9:5000");
    let (negotiated, text) = control("a=rtcp:5000\r\na=rtcp-mux");
    assert_eq!(negotiated.control, None);
    assert!(text.contains("a=rtcp-mux\r\n"));
    assert!(!control("").1.contains("rtcp"));
    assert_eq!(control("a=rtcp:0").0.control.unwrap().port(), 4_001);
}

#[test]
fn a_refresh_says_what_is_in_force() {
    for (lines, is_muxed) in [("a=rtcp-mux", true), ("", false)] {
        let (mut negotiator, mut rng) = negotiator(Srtp::Allowed);
        let offer = audio(&format!("m=audio 4000 RTP/AVPF 8 0\r\na=ptime:30\r\n{lines}"));
        negotiator.answer(offer.as_bytes(), &mut rng).unwrap();
        let refresh = negotiator.offer(&mut rng);
        assert_eq!(media_lines(refresh.as_str()), ["m=audio 30000 RTP/AVPF 8"]);
        assert!(refresh.as_str().contains("a=ptime:30\r\n"));
        assert_eq!(refresh.as_str().contains("a=rtcp-mux"), is_muxed);
    }
}

#[test]
fn addresses_that_we_cannot_send_to_are_refused() {
    for address in ["IN IP4 239.1.2.3", "IN IP4 255.255.255.255", "IN IP6 ff02::1", "IN IP4 host.example", "ATM NSAP 1"]
    {
        assert_eq!(
            answer(&audio(&format!("m=audio 4000 RTP/AVP 0\r\nc={address}"))),
            Err(Refused::Address),
            "{address}"
        );
    }
}

/// Linphone on a machine with both families says the newer one, whatever its signalling goes by.
#[test]
fn a_phone_that_says_an_address_of_the_other_family_is_sent_nothing_until_it_is_heard() {
    let offer = audio("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1");
    let (negotiated, text) = answer(&offer).unwrap();
    assert_eq!(negotiated.media.to_string(), "0.0.0.0:4000");
    assert_eq!(negotiated.control.unwrap().to_string(), "0.0.0.0:4001");
    assert_eq!(negotiated.direction, Direction::SendRecv, "it is not on hold");
    assert!(text.contains("c=IN IP4 "), "and hears where we are");
    assert_eq!(answer(&audio("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 ::")).unwrap().0.direction, Direction::RecvOnly);
}

#[test]
fn a_leg_over_ipv6_is_agreed_on_and_held_like_any_other() {
    let mut rng = StdRng::seed_from_u64(3);
    let mut negotiator = Negotiator::new("[2001:db8::7]:30000".parse().unwrap(), Capabilities::default(), &mut rng);
    let offer = |address: &str| format!("v=0\r\nc=IN IP6 {address}\r\nm=audio 4000 RTP/AVP 0\r\n");
    let (negotiated, text) = negotiator.answer(offer("2001:db8::1").as_bytes(), &mut rng).unwrap();
    assert_eq!(negotiated.media.to_string(), "[2001:db8::1]:4000");
    assert!(text.as_str().contains("c=IN IP6 2001:db8::7\r\n"));
    assert_eq!(negotiator.answer(offer("::").as_bytes(), &mut rng).unwrap().0.direction, Direction::RecvOnly);
}

#[test]
fn what_a_trunk_may_not_do_is_refused() {
    let plain = audio("m=audio 4000 RTP/AVP 0");
    let secure = audio(&format!("m=audio 4000 RTP/SAVP 0\r\na=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^31"));
    let keyless = audio("m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:x");
    let dtls = audio("m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:sha-256 00");
    let table = [
        (Srtp::Disabled, &plain, None),
        (Srtp::Disabled, &secure, Some(Refused::SrtpDisabled)),
        (Srtp::Allowed, &plain, None),
        (Srtp::Allowed, &secure, None),
        (Srtp::Allowed, &keyless, Some(Refused::SrtpRequired)),
        (Srtp::Required, &plain, Some(Refused::SrtpRequired)),
        (Srtp::Required, &secure, None),
        (Srtp::Required, &dtls, Some(Refused::NoAudio)),
    ];
    for (policy, offer, refused) in table {
        let (mut negotiator, mut rng) = negotiator(policy);
        assert_eq!(negotiator.answer(offer.as_bytes(), &mut rng).err(), refused, "{policy:?} {offer}");
    }
    let both = format!("{plain}m=audio 4002 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n");
    let (mut negotiator, mut rng) = negotiator(Srtp::Required);
    let (negotiated, text) = negotiator.answer(both.as_bytes(), &mut rng).unwrap();
    assert_eq!(negotiated.media.port(), 4_002);
    assert_eq!(media_lines(text.as_str()), ["m=audio 0 RTP/AVP 0", "m=audio 30000 RTP/SAVP 0"]);
}

#[test]
fn our_key_is_new_whenever_theirs_is_and_the_tag_is_theirs() {
    let (mut negotiator, mut rng) = negotiator(Srtp::Allowed);
    let offer = |key: &str| {
        audio(&format!(
            "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{key}\r\n\
             a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:{key}"
        ))
    };
    let mut keys = |key: &str| {
        let (negotiated, text) = negotiator.answer(offer(key).as_bytes(), &mut rng).unwrap();
        let keys = negotiated.srtp.unwrap();
        assert!(
            text.as_str()
                .contains(&format!("a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n", &*keys.ours.to_base64()))
        );
        assert_eq!(keys.theirs.to_base64().as_str(), key);
        keys.ours
    };
    let (first, again, other) = (keys(KEY), keys(KEY), keys(OTHER_KEY));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn no_debug_shows_a_key() {
    let (mut negotiator, mut rng) = negotiator(Srtp::Required);
    let text = negotiator.offer(&mut rng);
    let answer = audio(&format!("m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
    let negotiated = negotiator.accept_answer(answer.as_bytes()).unwrap();
    let ours = negotiated.srtp.clone().unwrap().ours.to_base64();
    assert!(text.as_str().contains(&*ours));
    let shown = format!("{negotiator:?} {negotiated:?} {text:?}");
    assert!(!shown.contains(&*ours) && !shown.contains(KEY), "{shown}");
}

#[test]
fn our_offer_has_all_that_we_can_and_its_answer_is_taken() {
    let (mut negotiator, mut rng) = negotiator(Srtp::Allowed);
    let offer = negotiator.offer(&mut rng);
    assert_eq!(media_lines(offer.as_str()), ["m=audio 30000 RTP/AVP 96 9 8 0 101 102"]);
    let (mut phone, mut other) = self::negotiator(Srtp::Disabled);
    let (theirs, answer) = phone.answer(offer.as_str().as_bytes(), &mut other).unwrap();
    let ours = negotiator.accept_answer(answer.as_str().as_bytes()).unwrap();
    assert_eq!((ours.codec, theirs.codec), (Codec::Opus, Codec::Opus));
    assert_eq!((ours.events.unwrap().clock, ours.payload_type.sent), (48_000, 96));
    let refresh = negotiator.offer(&mut rng);
    assert_eq!(media_lines(refresh.as_str()), ["m=audio 30000 RTP/AVP 96 102"]);
}

#[test]
fn an_answer_with_numbers_of_its_own_is_followed_when_we_send() {
    let (mut negotiator, mut rng) = negotiator(Srtp::Allowed);
    negotiator.offer(&mut rng);
    let answer = audio("m=audio 4000 RTP/AVP 120 99\r\na=rtpmap:120 opus/48000/2\r\na=rtpmap:99 telephone-event/48000");
    let negotiated = negotiator.accept_answer(answer.as_bytes()).unwrap();
    assert_eq!(negotiated.payload_type, PayloadType { sent: 120, received: 96 });
    assert_eq!(negotiated.events.unwrap().payload_type, PayloadType { sent: 99, received: 102 });
}

#[test]
fn an_early_answer_is_followed_by_that_of_another_branch() {
    let (mut negotiator, mut rng) = negotiator(Srtp::Required);
    negotiator.offer(&mut rng);
    let answer = |port: u16, key: &str| {
        audio(&format!("m=audio {port} RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}"))
    };
    let early = negotiator.accept_answer(answer(4_000, KEY).as_bytes()).unwrap();
    assert_eq!(negotiator.accept_answer(audio("m=audio 0 RTP/SAVP 0").as_bytes()), Err(Refused::NoAudio));
    let last = negotiator.accept_answer(answer(5_000, OTHER_KEY).as_bytes()).unwrap();
    assert_eq!((early.media.port(), last.media.port()), (4_000, 5_000));
    let (early, last) = (early.srtp.unwrap(), last.srtp.unwrap());
    assert!(early.ours == last.ours && early.theirs != last.theirs);
    assert_eq!(negotiator.agreed().map(|agreed| agreed.media.port()), Some(5_000));
}

#[test]
fn answers_that_do_not_fit_the_offer_are_refused() {
    let accept = |srtp: Srtp, answer: &str| {
        let (mut negotiator, mut rng) = negotiator(srtp);
        negotiator.offer(&mut rng);
        negotiator.accept_answer(audio(answer).as_bytes()).map(|negotiated| negotiated.codec)
    };
    let crypto = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
    let other_tag = crypto.replace("crypto:1", "crypto:2");
    assert_eq!(accept(Srtp::Allowed, "m=audio 4000 RTP/AVP 0"), Ok(Codec::Pcmu));
    assert_eq!(accept(Srtp::Allowed, "m=audio 0 RTP/AVP 0"), Err(Refused::NoAudio));
    assert_eq!(accept(Srtp::Allowed, "m=audio 4000 RTP/AVP 18"), Err(Refused::NoCodec));
    assert_eq!(accept(Srtp::Allowed, &format!("m=audio 4000 RTP/SAVP 0\r\n{crypto}")), Err(Refused::SrtpDisabled));
    assert_eq!(accept(Srtp::Required, &format!("m=audio 4000 RTP/SAVP 0\r\n{crypto}")), Ok(Codec::Pcmu));
    assert_eq!(accept(Srtp::Required, &format!("m=audio 4000 RTP/SAVP 0\r\n{other_tag}")), Err(Refused::SrtpRequired));
    assert_eq!(accept(Srtp::Required, "m=audio 4000 RTP/AVP 0"), Err(Refused::SrtpRequired));
    let (mut negotiator, _) = negotiator(Srtp::Allowed);
    assert_eq!(negotiator.accept_answer(audio("m=audio 4000 RTP/AVP 0").as_bytes()), Err(Refused::Unexpected));
}

#[test]
fn what_exceeds_the_limits_is_refused_unread() {
    let media = |count: usize| audio(&"m=audio 4000 RTP/AVP 0\r\n".repeat(count));
    assert!(answer(&media(MEDIA_MAX)).is_ok());
    assert_eq!(answer(&media(MEDIA_MAX + 1)), Err(Refused::Malformed));
    let long = |len: usize| {
        let text = audio("m=audio 4000 RTP/AVP 0");
        format!("{text}a={}\r\n", "x".repeat(len - text.len() - 4))
    };
    assert!(answer(&long(TEXT_MAX)).is_ok());
    assert_eq!(answer(&long(TEXT_MAX + 1)), Err(Refused::Malformed));
    for text in ["", "\r\n", "v=1\r\n", "o=- 1 1 IN IP4 1.1.1.1\r\nv=0\r\n", "m=audio 4000 RTP/AVP 0"] {
        assert_eq!(answer(text), Err(Refused::Malformed), "{text:?}");
    }
}

/// Octets, and descriptions with one line replaced, cut or doubled.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let spoiled = (0..offers::ALL.len(), any::<proptest::sample::Index>(), "[ -~]{0,40}", 0..4_u8).prop_map(
        |(which, at, line, how)| {
            let mut lines: Vec<&str> = offers::ALL[which].1.lines().collect();
            let at = at.index(lines.len());
            match how {
                0 => lines[at] = &line,
                1 => drop(lines.drain(at..)),
                2 => lines.insert(at, lines[at]),
                _ => lines.insert(at, &line),
            }
            lines.join("\r\n").into_bytes()
        },
    );
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..600), spoiled]
}

proptest! {
    #[test]
    fn arbitrary_offers_and_answers_never_panic_and_our_answers_can_be_read(text in hostile()) {
        let (mut negotiator, mut rng) = negotiator(Srtp::Allowed);
        if let Ok((negotiated, answer)) = negotiator.answer(&text, &mut rng) {
            let (ours, theirs) = (parse::parse(answer.as_str().as_bytes()).unwrap(), parse::parse(&text).unwrap());
            prop_assert_eq!(ours.len(), theirs.len());
            prop_assert_eq!(ours.iter().filter(|media| media.port != 0).count(), 1);
            prop_assert!(matches!(negotiated.ptime_ms, 10 | 20 | 30 | 40 | 60));
        }
        negotiator.offer(&mut rng);
        let _ = negotiator.accept_answer(&text);
    }
}
