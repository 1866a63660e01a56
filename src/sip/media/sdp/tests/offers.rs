//! What trunks and phones say first: written down from public documentation and from what these products are known to
//! send, with addresses of RFC 5737 and with keys of nobody. Each with what we make of it.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

pub(super) const ALL: [(&str, &str); 11] = [
    ("Twilio Elastic SIP Trunking", TWILIO),
    ("Twilio with secure trunking", TWILIO_SECURE),
    ("Telnyx", TELNYX),
    ("Asterisk, chan_pjsip", ASTERISK),
    ("FreeSWITCH, with early T.38", FREESWITCH),
    ("Teams Direct Routing", TEAMS),
    ("baresip, mediaenc=srtp-mand", BARESIP),
    ("Linphone, with video", LINPHONE),
    ("Cisco gateway", CISCO),
    ("a fax machine's adapter", ADAPTER),
    ("an intercom with lines out of order", INTERCOM),
];

const TWILIO: &str = "v=0
o=root 1983412345 1983412345 IN IP4 203.0.113.10
s=Twilio Media Gateway
c=IN IP4 203.0.113.10
t=0 0
m=audio 17332 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:20
a=sendrecv
";

const TWILIO_SECURE: &str = "v=0
o=root 601128420 601128420 IN IP4 203.0.113.10
s=Twilio Media Gateway
c=IN IP4 203.0.113.10
t=0 0
m=audio 15178 RTP/SAVP 0 8 101
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
";

const TELNYX: &str = "v=0
o=Telnyx 1700000000 1700000001 IN IP4 203.0.113.20
s=Telnyx
c=IN IP4 203.0.113.20
t=0 0
m=audio 22014 RTP/AVP 9 0 8 18 101 13
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=rtpmap:13 CN/8000
a=rtcp:22015 IN IP4 203.0.113.20
a=ptime:20
";

const ASTERISK: &str = "v=0
o=- 1432918470 1432918470 IN IP4 203.0.113.30
s=Asterisk
c=IN IP4 203.0.113.30
t=0 0
m=audio 11890 RTP/AVP 107 8 0 101
a=rtpmap:107 opus/48000/2
a=fmtp:107 useinbandfec=1;maxaveragebitrate=24000
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:140
a=sendrecv
";

const FREESWITCH: &str = "v=0
o=FreeSWITCH 1699990000 1699990001 IN IP4 203.0.113.40
s=FreeSWITCH
c=IN IP4 203.0.113.40
t=0 0
m=audio 25678 RTP/AVP 102 9 0 8 103 101 104
a=rtpmap:102 opus/48000/2
a=fmtp:102 useinbandfec=1; maxaveragebitrate=30000; maxplaybackrate=48000; ptime=20; minptime=10; maxptime=40
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:103 telephone-event/48000
a=fmtp:103 0-16
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=rtpmap:104 CN/8000
a=ptime:20
m=image 25680 udptl t38
a=T38FaxVersion:0
";

const TEAMS: &str = "v=0
o=- 75892 0 IN IP4 203.0.113.50
s=session
c=IN IP4 203.0.113.50
b=CT:10000000
t=0 0
m=audio 50086 RTP/SAVP 104 9 103 111 18 0 8 97 101 13 118
c=IN IP4 203.0.113.50
a=rtcp:50087
a=ice-ufrag:uLe7
a=ice-pwd:SAQ5sEQxSm4O+kOQsG8Zr6hU
a=rtcp-mux
a=candidate:1 1 UDP 2130706431 203.0.113.50 50086 typ srflx raddr 10.0.0.5 rport 50086
a=candidate:1 2 UDP 2130705918 203.0.113.50 50087 typ srflx raddr 10.0.0.5 rport 50087
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^31
a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31|1:1
a=label:Audio
a=rtpmap:104 SILK/16000
a=rtpmap:9 G722/8000
a=rtpmap:103 SILK/8000
a=rtpmap:111 SIREN/16000
a=fmtp:111 bitrate=16000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:97 RED/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=rtpmap:13 CN/8000
a=rtpmap:118 CN/16000
a=ptime:20
";

const BARESIP: &str = "v=0
o=- 3371747321 1420124411 IN IP4 192.0.2.60
s=-
c=IN IP4 192.0.2.60
t=0 0
a=tool:baresip 1.0.0
m=audio 17064 RTP/SAVP 8 0 101
b=AS:125
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:17065
a=sendrecv
a=label:1
a=rtcp-rsize
a=ssrc:2716324581 cname:sip:alice@192.0.2.60
a=ptime:20
a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR
";

const LINPHONE: &str = "v=0
o=alice 2451 1884 IN IP4 192.0.2.70
s=Talk
c=IN IP4 192.0.2.70
t=0 0
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
a=record:off
m=audio 55321 RTP/AVPF 96 97 98 0 8 101 99 100
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:97 speex/16000
a=fmtp:97 vbr=on
a=rtpmap:98 speex/8000
a=fmtp:98 vbr=on
a=rtpmap:101 telephone-event/48000
a=rtpmap:99 telephone-event/16000
a=rtpmap:100 telephone-event/8000
a=rtcp-fb:* trr-int 5000
a=rtcp-fb:* ccm tmmbr
m=video 60123 RTP/AVPF 96
a=rtpmap:96 VP8/90000
a=rtcp-fb:* ccm fir
";

const CISCO: &str = "v=0
o=CiscoSystemsSIP-GW-UserAgent 7317 9642 IN IP4 203.0.113.80
s=SIP Call
c=IN IP4 203.0.113.80
t=0 0
m=audio 17990 RTP/AVP 18 0 101 19
c=IN IP4 203.0.113.80
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=yes
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=rtpmap:19 CN/8000
a=ptime:30
";

/// No `s=` and no `t=`, a version that is no number, and lines that end in LF alone.
const ADAPTER: &str = "v=0
o=- 20518 0x7f IN IP4 192.0.2.90
c=IN IP4 192.0.2.90
m=audio 16384 RTP/AVP 0 8
a=ptime:20
a=silenceSupp:off - - - -
";

/// An attribute before `t=`, a user name with a space, a `b=` without a number, and a kind of medium that nobody
/// registered.
const INTERCOM: &str = "v=0
o=front door 5 5 IN IP4 192.0.2.91
s=Haustür
c=IN IP4 192.0.2.91
a=sendrecv
b=AS:
t=0 0
m=audio 9000 RTP/AVP 8
m=x-relay 9002 udp 1
";

#[test]
fn every_one_is_answered_as_it_should_be() {
    let table = [
        (Codec::Pcmu, 17_332, Some((101, 8_000)), 20, false, 1),
        (Codec::Pcmu, 15_178, Some((101, 8_000)), 20, true, 1),
        (Codec::G722, 22_014, Some((101, 8_000)), 20, false, 1),
        (Codec::Opus, 11_890, Some((101, 8_000)), 20, false, 1),
        (Codec::Opus, 25_678, Some((103, 48_000)), 20, false, 2),
        (Codec::G722, 50_086, Some((101, 8_000)), 20, true, 1),
        (Codec::Pcma, 17_064, Some((101, 8_000)), 20, true, 1),
        (Codec::Opus, 55_321, Some((101, 48_000)), 20, false, 2),
        (Codec::Pcmu, 17_990, Some((101, 8_000)), 30, false, 1),
        (Codec::Pcmu, 16_384, None, 20, false, 1),
        (Codec::Pcma, 9_000, None, 20, false, 2),
    ];
    for ((name, offer), (codec, port, events, ptime, is_secure, lines)) in ALL.into_iter().zip(table) {
        // As on the wire, and as after a careless relay.
        for offer in [offer.replace('\n', "\r\n"), offer.to_owned()] {
            let (negotiated, text) = answer(&offer).unwrap_or_else(|refused| panic!("{name}: {refused}"));
            assert_eq!((negotiated.codec, negotiated.media.port()), (codec, port), "{name}");
            assert_eq!(negotiated.events.map(|events| (events.payload_type.sent, events.clock)), events, "{name}");
            assert_eq!((negotiated.ptime_ms, negotiated.srtp.is_some()), (ptime, is_secure), "{name}");
            assert_eq!(media_lines(&text).len(), lines, "{name}");
        }
    }
}

#[test]
fn what_matters_only_to_one_of_them() {
    let negotiated = |offer: &str| answer(offer).unwrap().0;
    assert_eq!(negotiated(ASTERISK).bitrate, 24_000);
    assert_eq!(negotiated(FREESWITCH).bitrate, 30_000);
    assert_eq!(negotiated(TEAMS).control, None, "muxed");
    assert_eq!(negotiated(TEAMS).comfort_noise, Some(13));
    assert_eq!(negotiated(CISCO).comfort_noise, Some(19));
    assert_eq!(negotiated(BARESIP).srtp.unwrap().theirs.to_base64().as_str(), OTHER_KEY, "the second line is ours");
    assert_eq!(negotiated(TELNYX).control.unwrap().port(), 22_015);
}

/// The reason why `rtc-sdp` is not used. If it fails, look again.
#[test]
fn rtc_sdp_refuses_what_phones_send() {
    let refused = |offer: &str| rtc_sdp::SessionDescription::try_from(offer.to_owned()).is_err();
    assert!(!refused(TWILIO), "the test can pass");
    assert!(refused(ADAPTER));
    assert!(refused(INTERCOM));
}
