//! What happens within an answered call: changes, crossing changes, INFO, the end by the other side.

use super::alone::*;
use crate::stack::message::Method;
use crate::stack::news::{Ended, News, Wish};
use crate::stack::transaction::ServerKey;

/// What the only news wants changed.
fn changed(alone: &mut Alone) -> (Option<String>, ServerKey) {
    match alone.news().pop() {
        Some(News::Changed { offer, change }) => (offer, change),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_waits_for_our_answer_and_its_ack() {
    let mut alone = Alone::new();
    let (id, mut script) = alone.answered(&invite("a", Some(SDP)));
    alone.message(&script.request(Method::Invite).with_sdp(Some("hold")));
    assert_eq!(alone.lines(), ["100"]);
    let (offer, change) = changed(&mut alone);
    assert_eq!(offer.as_deref(), Some("hold"));
    alone.wish(id, Wish::Answer { change, answer: Ok("held".to_owned()) });
    let ok = alone.one();
    assert_eq!((ok.code(), ok.body.as_slice()), (Some(200), b"held".as_slice()));
    alone.message(&script.request(Method::Ack));
    assert_eq!(alone.news(), [News::Acknowledged(None)]);
    alone.pass(seconds(40));
    assert!(alone.sent().is_empty() && alone.news().is_empty());
}

#[test]
fn a_change_without_an_offer_asks_for_ours_and_the_ack_brings_the_answer() {
    let mut alone = Alone::new();
    let (id, mut script) = alone.answered(&invite("a", Some(SDP)));
    alone.message(&script.request(Method::Invite));
    alone.sent();
    let (offer, change) = changed(&mut alone);
    assert_eq!(offer, None);
    alone.wish(id, Wish::Answer { change, answer: Ok(OURS.to_owned()) });
    assert_eq!(alone.one().body, OURS.as_bytes());
    alone.message(&script.request(Method::Ack).with_sdp(Some(SDP)));
    assert_eq!(alone.news(), [News::Acknowledged(Some(SDP.to_owned()))]);
}

#[test]
fn a_refused_change_leaves_the_call_as_it_was() {
    let mut alone = Alone::new();
    let (id, mut script) = alone.answered(&invite("a", Some(SDP)));
    let change_to = script.request(Method::Update).with_sdp(Some("video"));
    alone.message(&change_to);
    let (_, change) = changed(&mut alone);
    alone.wish(id, Wish::Answer { change, answer: Err(488) });
    assert_eq!(alone.lines(), ["488"]);
    assert_eq!(alone.load().calls, 1);
}

#[test]
fn a_change_taken_back_by_cancel_leaves_the_call_as_it_was() {
    let mut alone = Alone::new();
    let (_, mut script) = alone.answered(&invite("a", Some(SDP)));
    let reinvite = script.request(Method::Invite).with_sdp(Some("hold"));
    alone.message(&reinvite);
    alone.sent();
    alone.message(&like(&reinvite, Method::Cancel, reinvite.header("To").expect("has one")));
    assert_eq!(alone.lines(), ["200", "487"]);
    assert_eq!(alone.load().calls, 1);
    alone.message(&script.request(Method::Invite).with_sdp(Some("hold")));
    assert_eq!(alone.lines(), ["100"], "the next one is not met by the one taken back");
}

#[test]
fn a_second_change_of_theirs_gets_500_and_one_that_meets_ours_gets_491() {
    let mut alone = Alone::new();
    let (id, mut script) = alone.answered(&invite("a", Some(SDP)));
    alone.message(&script.request(Method::Update).with_sdp(Some("one")));
    let (_, change) = changed(&mut alone);
    alone.message(&script.request(Method::Update).with_sdp(Some("two")));
    let pending = alone.one();
    assert_eq!((pending.code(), pending.header("Retry-After").is_some()), (Some(500), true));
    alone.wish(id, Wish::Answer { change, answer: Ok("one".to_owned()) });
    assert_eq!(alone.lines(), ["200"]);

    // A caller with timers but without UPDATE: our refresh is an INVITE.
    let mut alone = Alone::new();
    let timed = invite("b", Some(SDP)).with("Supported", "timer");
    let (_, mut script) = alone.answered(&timed);
    alone.pass(seconds(900));
    let refresh = alone.sent().into_iter().next().expect("a refresh");
    assert_eq!((refresh.method(), refresh.body.as_slice()), (Some(&Method::Invite), OURS.as_bytes()));
    alone.message(&script.request(Method::Invite).with_sdp(Some("hold")));
    assert_eq!(alone.lines(), ["491"]);
    assert!(alone.news().is_empty());
}

#[test]
fn a_change_before_the_ack_of_the_answer_gets_500() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP));
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Accept(OURS.to_owned()));
    let ok = alone.sent().pop().expect("an answer");
    alone.message(&Script::of(&invite, &ok).request(Method::Invite).with_sdp(Some("hold")));
    assert_eq!(alone.lines(), ["500"]);
}

#[test]
fn requests_within_a_call_get_their_codes() {
    let mut alone = Alone::new();
    let (_, mut script) = alone.answered(&invite("a", Some(SDP)));
    for (method, code) in [
        (Method::Options, 200),
        (Method::Refer, 405),
        (Method::Message, 405),
        (Method::Notify, 489),
        (Method::Prack, 481),
        (Method::Update, 200),
    ] {
        alone.message(&script.request(method.clone()));
        assert_eq!(alone.lines(), [code.to_string()], "{method:?}");
    }
    let refused = script.request(Method::Info).with("Require", "magic");
    alone.message(&refused);
    assert_eq!(alone.lines(), ["420"]);
}

#[test]
fn info_is_answered_and_given_up_as_it_came() {
    let mut alone = Alone::new();
    let (_, mut script) = alone.answered(&invite("a", Some(SDP)));
    alone.message(
        &script.request(Method::Info).with_body("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n".to_vec()),
    );
    assert_eq!(alone.lines(), ["200"]);
    let body = b"Signal=5\r\nDuration=160\r\n".to_vec();
    assert_eq!(alone.news(), [News::Info { kind: "application/dtmf-relay".to_owned(), body }]);
}

#[test]
fn a_bye_ends_the_call_and_what_comes_after_it_finds_none() {
    let mut alone = Alone::new();
    let (_, mut script) = alone.answered(&invite("a", Some(SDP)));
    let bye = script.request(Method::Bye);
    alone.message(&bye);
    assert_eq!((alone.lines(), alone.news()), (vec!["200".to_owned()], vec![News::Ended(Ended::HungUp)]));
    alone.message(&bye);
    assert_eq!(alone.lines(), ["200"], "a repetition is answered as before");
    alone.message(&script.request(Method::Info));
    assert_eq!(alone.lines(), ["481"]);
}

#[test]
fn a_bye_before_our_answer_ends_the_invite_as_well() {
    let mut alone = Alone::new();
    let invite = invite("a", Some(SDP));
    alone.message(&invite);
    let id = alone.arrivals.first().expect("a call came in").call;
    alone.wish(id, Wish::Ring);
    let ringing = alone.sent().pop().expect("180");
    alone.message(&Script::of(&invite, &ringing).request(Method::Bye));
    assert_eq!(alone.lines(), ["200", "487"]);
    assert_eq!(alone.news(), [News::Ended(Ended::HungUp)]);
}

#[test]
fn numbers_that_go_back_get_500_and_gaps_are_fine() {
    let mut alone = Alone::new();
    let (_, mut script) = alone.answered(&invite("a", Some(SDP)));
    script.number = 30;
    alone.message(&script.request(Method::Options));
    script.number = 20;
    alone.message(&script.request(Method::Options));
    assert_eq!(alone.lines(), ["200", "500"]);
}

#[test]
fn a_refresh_moves_where_our_requests_go() {
    let mut alone = Alone::new();
    let (id, mut script) = alone.answered(&invite("a", Some(SDP)));
    let mut update = script.request(Method::Update);
    update.set("Contact", "<sip:moved@192.0.2.1:5099>");
    alone.message(&update);
    alone.sent();
    alone.wish(id, Wish::HangUp);
    assert_eq!(alone.one().uri().expect("has one").to_string(), "sip:moved@192.0.2.1:5099");
}
