//! Calls that come in, message by message.

use super::alone::*;
use crate::stack::message::{Message, Method};
use crate::stack::news::{Ended, News, Wish};
use crate::stack::trunk::Trunk;

#[test]
fn a_call_rings_is_answered_and_ended_and_nothing_of_it_is_left() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP))
        .with("P-Asserted-Identity", "<sip:+4989778@x>")
        .with("Diversion", "<tel:+4940111>;reason=no-answer");
    alone.message(&invite);
    assert_eq!(alone.lines(), ["100"]);
    let arrival = alone.arrivals.pop().expect("a call came in");
    assert_eq!(arrival.from.number.as_deref(), Some("+4989777"));
    assert_eq!(arrival.from.display.as_deref(), Some("Bob"));
    assert_eq!(arrival.called, ["+4940555"]);
    assert_eq!(arrival.diversion.as_deref(), Some("+4940111"));
    assert_eq!(arrival.asserted.expect("is asserted").number.as_deref(), Some("+4989778"));
    assert_eq!((arrival.offer.as_deref(), arrival.withheld), (Some(SDP), false));

    alone.wish(arrival.call, Wish::Ring);
    let ringing = alone.one();
    assert_eq!(
        (ringing.code(), ringing.header("Via")),
        (Some(180), Some("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKia;rport=5060;received=192.0.2.1"))
    );
    alone.wish(arrival.call, Wish::Accept(OURS.to_owned()));
    let ok = alone.one();
    assert_eq!((ok.code(), ok.body.as_slice()), (Some(200), OURS.as_bytes()));
    assert_eq!(ok.header("To"), ringing.header("To"), "one tag for all answers");
    assert_eq!(ok.header("Contact"), Some("<sip:plenum@198.51.100.1:5060>"));
    assert_eq!(ok.header("Server"), Some(concat!("Plenum/", env!("CARGO_PKG_VERSION"))));
    assert!(!ok.header("Allow").expect("says").contains("REFER"));

    let mut script = Script::of(&invite, &ok);
    alone.message(&script.request(Method::Ack));
    assert_eq!(alone.news(), [News::Acknowledged(None)]);
    alone.wish(arrival.call, Wish::HangUp);
    let bye = alone.one();
    assert_eq!((bye.method(), bye.header("To")), (Some(&Method::Bye), invite.header("From")));
    alone.message(&answer(&bye, 200, ""));
    assert_eq!((alone.load().calls, alone.load().dialogs), (0, 0));
    alone.pass(seconds(64));
    assert_eq!((alone.load().transactions, alone.news().len()), (0, 0));
}

#[test]
fn a_repeated_invite_gets_the_last_answer_again_and_is_no_second_call() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP));
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Ring);
    alone.sent();
    alone.message(&invite);
    assert_eq!(alone.lines(), ["180"]);
    assert_eq!(alone.arrivals.len(), 1);
}

#[test]
fn a_lost_200_is_repeated_until_its_ack_comes() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP));
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Accept(OURS.to_owned()));
    let ok = alone.sent().pop().expect("an answer");
    alone.pass(seconds(4));
    // After 0.5, 1.5 and 3.5 s.
    assert_eq!(alone.lines(), ["200", "200", "200"]);
    alone.message(&invite);
    assert_eq!(alone.lines(), ["200"], "a repeated INVITE asks for it at once");
    alone.message(&Script::of(&invite, &ok).request(Method::Ack));
    alone.pass(seconds(20));
    assert!(alone.sent().is_empty());
}

#[test]
fn repetitions_become_rarer_but_not_rarer_than_four_seconds() {
    let mut alone = Alone::new();
    alone.message(&invite("a", Some(SDP)));
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Accept(OURS.to_owned()));
    alone.sent();
    alone.pass(seconds(30));
    // After 0.5, 1.5, 3.5, 7.5 s, and then each four seconds.
    assert_eq!(alone.lines().len(), 4 + 5);
}

#[test]
fn a_200_whose_ack_never_comes_ends_the_call_after_32_seconds_with_bye() {
    let mut alone = Alone::new();
    alone.message(&invite("a", Some(SDP)));
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Accept(OURS.to_owned()));
    alone.pass(std::time::Duration::from_millis(31_999));
    assert!(alone.news().is_empty() && !alone.lines().contains(&"BYE".to_owned()));
    alone.pass(seconds(1));
    assert_eq!(alone.news(), [News::Ended(Ended::NotAcknowledged)]);
    assert_eq!(alone.lines().first().map(String::as_str), Some("BYE"));
}

#[test]
fn hanging_up_before_the_ack_waits_for_it() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP));
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Accept(OURS.to_owned()));
    let ok = alone.sent().pop().expect("an answer");
    alone.wish(id, Wish::HangUp);
    assert!(alone.sent().is_empty());
    alone.message(&Script::of(&invite, &ok).request(Method::Ack));
    assert_eq!(alone.lines(), ["BYE"]);
}

#[test]
fn a_bye_instead_of_an_ack_ends_the_repetitions_as_well() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP));
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Accept(OURS.to_owned()));
    let ok = alone.sent().pop().expect("an answer");
    alone.message(&Script::of(&invite, &ok).request(Method::Bye));
    assert_eq!((alone.lines(), alone.news()), (vec!["200".to_owned()], vec![News::Ended(Ended::HungUp)]));
    alone.pass(seconds(40));
    assert!(alone.sent().is_empty());
}

#[test]
fn an_invite_without_an_offer_gets_ours_and_the_ack_brings_the_answer() {
    let mut alone = Alone::new();
    let invite = invite("a", None);
    alone.message(&invite);
    let arrival = alone.arrivals.pop().expect("a call came in");
    assert_eq!(arrival.offer, None);
    alone.sent();
    alone.wish(arrival.call, Wish::Accept(OURS.to_owned()));
    let ok = alone.one();
    assert_eq!(ok.body, OURS.as_bytes());
    alone.message(&Script::of(&invite, &ok).request(Method::Ack).with_sdp(Some(SDP)));
    assert_eq!(alone.news(), [News::Acknowledged(Some(SDP.to_owned()))]);
}

#[test]
fn a_cancel_is_answered_and_the_invite_refused_with_487() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP));
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Ring);
    alone.sent();
    let cancel = like(&invite, Method::Cancel, "<sip:+4940555@198.51.100.1>");
    alone.message(&cancel);
    let sent = alone.sent();
    assert_eq!(sent.iter().map(Message::code).collect::<Vec<_>>(), [Some(200), Some(487)]);
    let tags: Vec<_> = sent.iter().map(Message::tag_of_to).collect();
    assert!(tags.first() == tags.last() && tags.iter().all(Option::is_some), "{tags:?}");
    assert_eq!(alone.news(), [News::Ended(Ended::Cancelled)]);
    let refusal = sent.last().expect("487");
    alone.message(&like(&invite, Method::Ack, refusal.header("To").expect("has one")));
    alone.pass(seconds(40));
    assert!(alone.sent().is_empty(), "after its ACK a refusal is not repeated");
    assert_eq!(alone.load().transactions, 0);
}

#[test]
fn a_cancel_that_crosses_the_answer_changes_nothing() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP));
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Accept(OURS.to_owned()));
    alone.sent();
    alone.message(&like(&invite, Method::Cancel, "<sip:+4940555@198.51.100.1>"));
    assert_eq!(alone.lines(), ["200"]);
    assert!(alone.news().is_empty());
    // And an answer that crosses a CANCEL is too late.
    let mut alone = Alone::new();
    alone.message(&invite);
    alone.message(&like(&invite, Method::Cancel, "<sip:+4940555@198.51.100.1>"));
    alone.sent();
    alone.wish(alone.arrivals.first().expect("a call came in").call, Wish::Accept(OURS.to_owned()));
    assert!(alone.sent().is_empty());
}

#[test]
fn a_cancel_of_nothing_gets_481() {
    let mut alone = Alone::new();
    alone.message(&like(&invite("a", None), Method::Cancel, "<sip:+4940555@198.51.100.1>"));
    assert_eq!(alone.lines(), ["481"]);
}

#[test]
fn a_refusal_is_repeated_until_its_ack_and_says_why() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP));
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.sent();
    alone.wish(id, Wish::Reject { code: 486, reason: Some("no \"room\"".to_owned()) });
    alone.pass(seconds(2));
    let sent = alone.sent();
    assert_eq!(sent.len(), 3);
    assert_eq!(sent.first().and_then(|busy| busy.header("Reason")), Some("SIP;cause=486;text=\"no room\""));
    assert_eq!(alone.load().calls, 0);
}

#[test]
fn one_request_by_two_ways_is_a_loop_and_a_call_again_by_the_same_call_id_is_not() {
    let mut alone = Alone::new();
    let first = invite("a", Some(SDP));
    alone.message(&first);
    let mut other_way = first.clone();
    other_way.set("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKother");
    alone.sent();
    alone.message(&other_way);
    assert_eq!(alone.lines(), ["482"]);
    assert_eq!(alone.arrivals.len(), 1);
    let mut again = first.clone();
    again.set("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKagain");
    again.set("CSeq", "2 INVITE");
    alone.message(&again);
    assert_eq!(alone.arrivals.len(), 2);
}

#[test]
fn what_was_refused_is_a_loop_by_another_way_until_its_ack_came_or_it_is_forgotten() {
    let by = |branch: &str| {
        let mut invite = invite("a", Some(SDP));
        invite.set("Via", format!("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}"));
        invite
    };
    for forgotten in [false, true] {
        let mut alone = Alone::new();
        alone.message(&by("first"));
        let id = alone.arrivals.first().expect("a call came in").call;
        alone.wish(id, Wish::Reject { code: 486, reason: None });
        alone.sent();
        alone.message(&by("second"));
        assert_eq!(alone.lines(), ["482"]);
        if forgotten {
            alone.pass(seconds(33));
        } else {
            for branch in ["first", "second"] {
                alone.message(&like(&by(branch), Method::Ack, "<sip:u@198.51.100.1>;tag=t"));
            }
        }
        alone.message(&by("third"));
        assert_eq!(alone.arrivals.len(), 2, "forgotten: {forgotten}");
    }
}

#[test]
fn what_is_no_call_for_us_is_refused_with_its_code() {
    let refusal = |invite: &Message, trunk: Trunk| {
        let mut alone = Alone::quiet(trunk);
        alone.message(invite);
        assert!(alone.arrivals.is_empty());
        alone.one()
    };
    let unknown = refusal(&invite("a", None).with("Require", "100rel, nothing, timer, replaces"), trunk());
    assert_eq!((unknown.code(), unknown.header("Unsupported")), (Some(420), Some("nothing, replaces")));
    assert_eq!(refusal(&invite("a", None).with("Replaces", "x;to-tag=1;from-tag=2"), trunk()).code(), Some(481));
    let odd = refusal(&invite("a", None).with_body("text/plain", b"x".to_vec()), trunk());
    assert_eq!((odd.code(), odd.header("Accept").is_some()), (Some(415), true));
    let short = refusal(&invite("a", Some(SDP)).with("Supported", "timer").with("Session-Expires", "60"), trunk());
    assert_eq!((short.code(), short.header("Min-SE")), (Some(422), Some("90")));
    assert_eq!(refusal(&invite("a", Some(SDP)), Trunk { inbound: false, ..trunk() }).code(), Some(403));
    let full = refusal(&invite("a", Some(SDP)), Trunk { sessions: 0, ..trunk() });
    assert_eq!((full.code(), full.header("Retry-After").is_some()), (Some(503), true));
    let mut nowhere = invite("a", Some(SDP));
    nowhere.remove("Contact");
    assert_eq!(refusal(&nowhere, trunk()).code(), Some(400));
}

#[test]
fn a_caller_who_wants_not_to_be_shown_is_not() {
    let mut alone = Alone::new();
    let mut hidden =
        invite("a", Some(SDP)).with("Privacy", "id;critical").with("P-Asserted-Identity", "<tel:+4989778>");
    hidden.set("From", "Anonymous <sip:anonymous@anonymous.invalid>;tag=t");
    alone.message(&hidden);
    let arrival = alone.arrivals.pop().expect("a call came in");
    assert!(arrival.withheld && arrival.from.number.is_none() && arrival.from.display.is_none());
    assert_eq!(arrival.asserted.expect("is asserted").number.as_deref(), Some("+4989778"));
}

#[test]
fn provisional_answers_are_repeated_until_prack_where_that_is_required() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP)).with("Require", "100rel");
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.sent();
    alone.wish(id, Wish::Progress(OURS.to_owned()));
    let progress = alone.one();
    assert_eq!((progress.header("Require"), progress.header("RSeq")), (Some("100rel"), Some("1")));
    alone.wish(id, Wish::Accept(OURS.to_owned()));
    alone.pass(seconds(2));
    assert_eq!(alone.lines(), ["183", "183"], "the answer waits");
    let mut script = Script::of(&invite, &progress);
    alone.message(&script.request(Method::Prack).with("RAck", "1 9 INVITE"));
    assert_eq!(alone.lines(), ["481"]);
    alone.message(&script.request(Method::Prack).with("RAck", "1 1  INVITE"));
    assert_eq!(alone.lines(), ["200", "200"]);
    script.number = 1;
    alone.message(&script.request(Method::Ack));
    assert_eq!(alone.news(), [News::Acknowledged(None)]);
}

#[test]
fn a_provisional_answer_that_nobody_pracks_ends_the_call() {
    let mut alone = Alone::new();
    alone.message(&invite("a", Some(SDP)).with("Require", "100rel"));
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Ring);
    alone.pass(seconds(32));
    assert_eq!(alone.news(), [News::Ended(Ended::NotAcknowledged)]);
    assert_eq!(alone.lines().last().map(String::as_str), Some("504"));
}

#[test]
fn requests_outside_of_any_call_get_their_codes() {
    let mut alone = Alone::new();
    for (method, code) in [
        (Method::Options, 200),
        (Method::Refer, 405),
        (Method::Message, 405),
        (Method::Register, 405),
        (Method::Publish, 405),
        (Method::Subscribe, 489),
        (Method::Notify, 489),
        (Method::Bye, 481),
        (Method::Info, 481),
        (Method::Update, 481),
        (Method::Prack, 481),
    ] {
        let name = method.as_str().to_owned();
        let mut request = invite(&name, None);
        request.start = Message::request(method, "sip:+4940555@198.51.100.1".to_owned()).start;
        request.set("CSeq", format!("1 {name}"));
        alone.message(&request);
        let answer = alone.one();
        assert_eq!(answer.code(), Some(code), "{name}");
        if matches!(code, 200 | 405 | 489) {
            assert!(answer.header("Allow").is_some(), "{name}");
        }
    }
}

#[test]
fn a_call_that_nobody_answers_is_given_up_after_five_minutes() {
    let mut alone = Alone::new();
    alone.message(&invite("a", Some(SDP)));
    alone.pass(seconds(300));
    assert_eq!(alone.news(), [News::Ended(Ended::Unanswered)]);
    assert!(alone.lines().contains(&"480".to_owned()));
    alone.pass(seconds(40));
    assert_eq!((alone.load().calls, alone.load().transactions), (0, 0));
}
