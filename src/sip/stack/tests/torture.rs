//! The torture messages of RFC 4475: what a known trunk gets for each, and what only gets silence.

use proptest::prelude::*;

use super::alone::{Alone, SDP, answer, invite, seconds};
use crate::stack::message::Method;

/// What came of bytes: the first code that was answered, and whether a call came in.
fn sent(bytes: &[u8]) -> (Option<u16>, bool) {
    let mut alone = Alone::new();
    alone.bytes(bytes);
    let code = alone.sent().iter().find_map(|message| message.code());
    (code, !alone.arrivals.is_empty())
}

/// An INVITE made of lines, with headers that are in order where the lines have none of them.
fn lines(start: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let usual = [
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKt",
        "From: <sip:c@192.0.2.1>;tag=t",
        "To: <sip:u@198.51.100.1>",
        "Call-ID: torture",
        "CSeq: 1 INVITE",
        "Contact: <sip:c@192.0.2.1>",
        "Max-Forwards: 70",
    ];
    let name = |line: &str| line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut text = format!("{start}\r\n");
    for line in usual.iter().filter(|line| !headers.iter().any(|header| name(header) == name(line))) {
        text.push_str(&format!("{line}\r\n"));
    }
    for header in headers.iter().filter(|header| !header.ends_with(':')) {
        text.push_str(&format!("{header}\r\n"));
    }
    if !headers.iter().any(|header| name(header) == "content-length" || name(header) == "l") {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    format!("{text}\r\n{body}").into_bytes()
}

const START: &str = "INVITE sip:u@198.51.100.1 SIP/2.0";

#[test]
fn a_short_tortuous_invite_is_a_call() {
    // §3.1.1.1, but for the To tag, which would make it a request within a call.
    let text = concat!(
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n",
        "TO :\r\n sip:vivekg@chair-dnrc.example.com ;   unknown    = 1918181833n\r\n",
        "from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n",
        "MaX-fOrWaRdS: 0068\r\n",
        "Call-ID: wsinv.ndaksdj@192.0.2.1\r\n",
        "Content-Length   : 150\r\n",
        "cseq: 0009\r\n  INVITE\r\n",
        "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n",
        "s :\r\n",
        "NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n",
        "UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n",
        "Content-Type: application/sdp\r\n",
        "Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n",
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n",
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n",
        "m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33\r\n",
        "\r\n",
    );
    let body = format!("{SDP:<150}");
    assert_eq!(sent(format!("{text}{body}").as_bytes()), (Some(100), true));
}

#[test]
fn valid_but_odd_messages_are_calls() {
    let long = "a".repeat(2000);
    for (what, bytes) in [
        (
            "escapes in the user (esc01, escnull)",
            lines("INVITE sip:sips%3Auser%40example.com%00@198.51.100.1 SIP/2.0", &[], ""),
        ),
        (
            "a semicolon in the user (semiuri)",
            lines("INVITE sip:user;par=u%40example.net@198.51.100.1 SIP/2.0", &[], ""),
        ),
        ("a long value (longreq)", lines(START, &[&format!("X-Long: {long}")], "")),
        (
            "transports unknown to us (transports)",
            lines(
                START,
                &[
                    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKt, SIP/2.0/SCTP s;branch=z9hG4bKs, SIP/2.0/UNKNOWN u;branch=z9hG4bKu",
                ],
                "",
            ),
        ),
        ("no hops left (zeromf)", lines(START, &["Max-Forwards: 0"], "")),
        (
            "an unknown scheme in To and From (unksm2)",
            lines(START, &["To: isbn:2983792873", "From: <http://www.example.com>;tag=3"], ""),
        ),
        ("a peer of RFC 2543 (inv2543)", lines(START, &["Via: SIP/2.0/UDP 192.0.2.1", "Max-Forwards:"], "")),
        (
            "a second message behind the first (dblreq)",
            [lines(START, &["Content-Type: application/sdp"], SDP), lines(START, &[], "")].concat(),
        ),
        (
            "unknown parameters of Contact (cparam01)",
            lines(START, &["Contact: \"a, b\" <sip:c@192.0.2.1>;unknown;q=0.1"], ""),
        ),
        ("no space in front of a bracket (lwsdisp)", lines(START, &["From: caller<sip:c@192.0.2.1>;tag=323"], "")),
        (
            "a body in parts (mpart01)",
            lines(
                START,
                &["Content-Type: multipart/mixed;boundary=b"],
                "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--\r\n",
            ),
        ),
    ] {
        assert_eq!(sent(&bytes), (Some(100), true), "{what}");
    }
}

#[test]
fn invalid_messages_get_their_code_and_are_no_calls() {
    for (code, what, bytes) in [
        (
            400,
            "separators without values (badinv01)",
            lines(START, &["Contact: \"Joe\" <sip:joe@example.org>;;;;,,;,@"], ""),
        ),
        (400, "a length beyond the datagram (clerr)", lines(START, &["Content-Length: 9999"], "x")),
        (400, "a negative length (ncl)", lines(START, &["Content-Length: -999"], "x")),
        (400, "a number that is too large (scalar02)", lines(START, &["CSeq: 36893488147419103232 INVITE"], "")),
        (400, "hops beyond 255 (scalar02)", lines(START, &["Max-Forwards: 300"], "")),
        (400, "an open quote (quotbal)", lines(START, &["To: \"Mr. J. User <sip:u@198.51.100.1>"], "")),
        (400, "a Request-URI in brackets (ltgtruri)", lines("INVITE <sip:u@198.51.100.1> SIP/2.0", &[], "")),
        (400, "space in the Request-URI (lwsruri)", lines("INVITE sip:u@198.51.100.1; lr SIP/2.0", &[], "")),
        (400, "several spaces in the start line (lwsstart)", lines("INVITE  sip:u@198.51.100.1  SIP/2.0", &[], "")),
        (400, "space behind the start line (trws)", lines("INVITE sip:u@198.51.100.1 SIP/2.0  ", &[], "")),
        (
            400,
            "headers in the Request-URI (escruri)",
            lines("INVITE sip:u@198.51.100.1?Route=%3Csip:example.com%3E SIP/2.0", &[], ""),
        ),
        (
            400,
            "headers of a URI without brackets (regbadct)",
            lines(START, &["Contact: sip:u@example.com?Route=%3Csip:sip.example.com%3E"], ""),
        ),
        (
            400,
            "spaces within an address (badaspec)",
            lines(START, &["To: \"Watson, Thomas\" < sip:t.watson@example.org >"], ""),
        ),
        (
            400,
            "a name that must be quoted (baddn)",
            lines(START, &["From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43"], ""),
        ),
        (505, "another version (badvers)", lines("INVITE sip:u@198.51.100.1 SIP/7.0", &[], "")),
        (400, "a method that is not CSeq's (mismatch01)", lines(START, &["CSeq: 8 OPTIONS"], "")),
        (
            501,
            "a method that nobody knows (mismatch02)",
            lines("NEWMETHOD sip:u@198.51.100.1 SIP/2.0", &["CSeq: 8 INVITE"], ""),
        ),
        (
            416,
            "a scheme that nobody knows (unkscm)",
            lines("INVITE nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", &[], ""),
        ),
        (
            416,
            "a scheme that is not for calls (novelsc)",
            lines("INVITE soap.beep://192.0.2.103:3002 SIP/2.0", &[], ""),
        ),
        (
            420,
            "extensions that nobody knows (bext01)",
            lines(START, &["Require: nothingSupportsThis, nothingSupportsThisEither"], ""),
        ),
        (
            415,
            "a body that nobody knows (invut)",
            lines(START, &["Content-Type: application/unknownformat"], "<audio>"),
        ),
        (400, "two of what there is one of (multi01)", lines(START, &["CSeq: 5 INVITE", "CSeq: 59 INVITE"], "")),
        (400, "two lengths (mcl01)", lines(START, &["Content-Length: 0", "Content-Length: 1"], "x")),
        (
            400,
            "an unknown protocol in Via",
            lines(START, &["Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKt, HTTP/1.1/UDP x"], ""),
        ),
    ] {
        assert_eq!(sent(&bytes), (Some(code), false), "{what}");
    }
}

#[test]
fn what_cannot_be_answered_gets_silence() {
    for (what, bytes) in [
        ("no header to answer by (insuf)", lines(START, &["Via:"], "")),
        ("no Call-ID", lines(START, &["Call-ID:"], "")),
        ("an unknown acknowledgement", lines("ACK sip:u@198.51.100.1 SIP/2.0", &["CSeq: 1 ACK"], "")),
        ("a malformed acknowledgement", lines("ACK sip:u@198.51.100.1 SIP/2.0", &["CSeq: 2 INVITE"], "")),
        ("an answer to nothing (bcast, zeromf)", lines("SIP/2.0 200 OK", &[], "")),
        ("an answer with an absurd code (bigcode)", lines("SIP/2.0 4294967301 better not break the receiver", &[], "")),
        ("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n".to_vec()),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("nothing", Vec::new()),
    ] {
        assert_eq!(sent(&bytes), (None, false), "{what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Messages of a call that runs, both ways, each with a few bytes changed: nothing stops the agent, and when the peer has fallen
    /// silent nothing is left but the call itself, which has no timer.
    #[test]
    fn messages_with_bytes_changed_stop_nothing_and_leave_nothing(
        changes in proptest::collection::vec((0_usize..8, 0_usize..700, any::<u8>()), 1..40),
    ) {
        let mut alone = Alone::new();
        let (_, mut script) = alone.answered(&invite("run", Some(SDP)));
        alone.call("+4940555");
        let ours = alone.one();
        let mut messages: Vec<Vec<u8>> = [Method::Invite, Method::Update, Method::Info, Method::Options, Method::Bye]
            .into_iter()
            .map(|method| script.request(method).with_sdp(Some("hold")).to_bytes())
            .collect();
        messages.push(answer(&ours, 183, "t").with_sdp(Some(SDP)).to_bytes());
        messages.push(answer(&ours, 200, "t").with_sdp(Some(SDP)).to_bytes());
        messages.push(invite("new", Some(SDP)).with("Require", "100rel").to_bytes());
        for (which, at, byte) in changes {
            if let Some(old) = messages[which].get_mut(at) {
                *old = byte;
            }
            let bytes = messages[which].clone();
            alone.bytes(&bytes);
        }
        alone.pass(seconds(700));
        alone.leave();
        alone.pass(seconds(700));
        prop_assert_eq!(alone.load(), crate::stack::agent::Load { calls: 0, dialogs: 0, transactions: 0 });
    }
}
