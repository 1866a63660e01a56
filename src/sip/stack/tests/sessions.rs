//! Session timers in calls: who refreshes, and what ends a call whose other end is gone.

use super::alone::*;
use crate::stack::message::Method;
use crate::stack::news::{Ended, News};

#[test]
fn a_caller_who_is_to_refresh_and_does_not_is_hung_up_on() {
    let mut alone = Alone::new();
    let timed = invite("a", Some(SDP)).with("Supported", "timer").with("Session-Expires", "90;refresher=uac");
    let (_, mut script) = alone.answered(&timed);
    alone.pass(seconds(50));
    let update = script.request(Method::Update).with("Supported", "timer").with("Session-Expires", "90;refresher=uac");
    alone.message(&update);
    let ok = alone.one();
    assert_eq!((ok.header("Session-Expires"), ok.header("Require")), (Some("90;refresher=uac"), Some("timer")));
    alone.pass(seconds(59));
    assert!(alone.news().is_empty());
    alone.pass(seconds(1));
    assert_eq!((alone.news(), alone.lines()), (vec![News::Ended(Ended::NotRefreshed)], vec!["BYE".to_owned()]));
}

#[test]
fn we_refresh_at_half_by_update_and_an_unanswered_refresh_ends_the_call() {
    let mut alone = Alone::new();
    let timed = invite("a", Some(SDP)).with("Supported", "timer").with("Allow", "INVITE, UPDATE");
    let (_, _) = alone.answered(&timed.with("Session-Expires", "1800;refresher=uas"));
    alone.pass(seconds(900));
    let update = alone.one();
    assert_eq!(
        (update.method(), update.header("Session-Expires"), update.body.len()),
        (Some(&Method::Update), Some("1800;refresher=uac"), 0)
    );
    alone.message(&answer(&update, 200, "").with("Session-Expires", "1800;refresher=uac"));
    alone.pass(seconds(900));
    let again = alone.sent().into_iter().next().expect("a refresh");
    assert_eq!(again.method(), Some(&Method::Update));
    alone.pass(seconds(32));
    assert_eq!(alone.news(), [News::Ended(Ended::NotRefreshed)]);
    assert_eq!(alone.lines().last().map(String::as_str), Some("BYE"));
}

#[test]
fn a_refresh_that_is_refused_for_a_moment_is_tried_again_and_one_for_no_call_ends_it() {
    let mut alone = Alone::new();
    let timed = invite("a", Some(SDP)).with("Supported", "timer").with("Allow", "UPDATE");
    let (_, _) = alone.answered(&timed);
    alone.pass(seconds(900));
    let update = alone.one();
    alone.message(&answer(&update, 491, ""));
    alone.pass(seconds(10));
    let again = alone.one();
    assert_eq!(again.method(), Some(&Method::Update));
    alone.message(&answer(&again, 405, ""));
    alone.pass(seconds(10));
    let invite = alone.one();
    assert_eq!((invite.method(), invite.body.as_slice()), (Some(&Method::Invite), OURS.as_bytes()));
    alone.message(&answer(&invite, 481, ""));
    assert_eq!(alone.lines(), ["ACK", "BYE"]);
    assert_eq!(alone.news(), [News::Ended(Ended::NotRefreshed)]);
}

#[test]
fn a_refresh_by_invite_is_acknowledged_and_its_answer_told() {
    let mut alone = Alone::new();
    let (_, _) = alone.answered(&invite("a", Some(SDP)).with("Supported", "timer"));
    alone.pass(seconds(900));
    let refresh = alone.one();
    alone.message(&answer(&refresh, 200, "").with("Session-Expires", "1800;refresher=uas").with_sdp(Some("moved")));
    let ack = alone.one();
    assert_eq!(
        (ack.method(), ack.cseq().map(|cseq| cseq.number)),
        (Some(&Method::Ack), refresh.cseq().map(|cseq| cseq.number))
    );
    assert_eq!(alone.news(), [News::Answered("moved".to_owned())]);
    alone.pass(seconds(1767));
    assert!(alone.news().is_empty() && alone.sent().is_empty(), "now they refresh");
    alone.pass(seconds(1));
    assert_eq!(alone.news(), [News::Ended(Ended::NotRefreshed)]);
}

#[test]
fn a_call_that_goes_out_refreshes_as_its_answer_says() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    let ok = answer(&invite, 200, "t").with_sdp(Some(SDP)).with("Allow", "UPDATE").with("Require", "timer");
    alone.message(&ok.with("Session-Expires", "200;refresher=uac"));
    alone.sent();
    alone.pass(seconds(100));
    assert_eq!(alone.lines(), ["UPDATE"]);
}

#[test]
fn a_call_without_timers_lasts() {
    let mut alone = Alone::new();
    let (_, _) = alone.answered(&invite("a", Some(SDP)));
    alone.pass(seconds(36_000));
    assert_eq!((alone.load().calls, alone.news().len()), (1, 0));
}
