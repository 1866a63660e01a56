//! Calls that go out, message by message.

use std::time::Duration;

use super::alone::*;
use crate::stack::Credentials;
use crate::stack::message::{Message, Method};
use crate::stack::news::{Ended, Failure, News, Order, Party, Wish};
use crate::stack::path::{Transport, TrunkId};
use crate::stack::trunk::Trunk;

fn failed(code: u16, reason: &str) -> News {
    News::Failed(Failure { code, reason: reason.to_owned(), retry_after: None })
}

fn with_password() -> Trunk {
    let credentials = Credentials { username: "us".to_owned(), password: "secret".to_owned().into() };
    Trunk { credentials: Some(credentials), ..trunk() }
}

#[test]
fn a_call_is_tried_rings_is_answered_and_hung_up() {
    let mut alone = Alone::new();
    let id = alone.call("+4940555");
    let invite = alone.one();
    assert_eq!(invite.uri().expect("has one").to_string(), "sip:+4940555@192.0.2.1;user=phone");
    let from = invite.sender().expect("has one");
    assert_eq!((from.display.as_deref(), from.uri.user().as_deref()), (Some("Ada x"), Some("+4930123")));
    assert_eq!(invite.header("P-Asserted-Identity"), Some("\"Ada x\" <sip:+4930123@198.51.100.1;user=phone>"));
    assert_eq!((invite.header("Max-Forwards"), invite.header("Min-SE")), (Some("70"), Some("90")));
    assert_eq!(invite.header("User-Agent"), Some(concat!("Plenum/", env!("CARGO_PKG_VERSION"))));
    assert_eq!((invite.header("Supported"), invite.body.as_slice()), (Some("timer"), OURS.as_bytes()));

    alone.message(&answer(&invite, 100, ""));
    alone.message(&answer(&invite, 180, "t"));
    alone.message(&answer(&invite, 183, "t").with_sdp(Some("early")));
    assert_eq!(alone.news(), [News::Trying, News::Ringing, News::Early("early".to_owned())]);
    alone.message(&answer(&invite, 200, "t").with_sdp(Some(SDP)));
    assert_eq!(alone.news(), [News::Answered(SDP.to_owned())]);
    let ack = alone.one();
    assert_eq!((ack.method(), ack.header("CSeq")), (Some(&Method::Ack), Some("1 ACK")));
    assert_eq!(ack.uri().expect("has one").to_string(), "sip:them@192.0.2.1:5060");

    alone.wish(id, Wish::HangUp);
    let bye = alone.one();
    assert_eq!((bye.method(), bye.header("CSeq")), (Some(&Method::Bye), Some("2 BYE")));
    alone.message(&answer(&bye, 200, ""));
    alone.pass(seconds(40));
    assert_eq!((alone.load().calls, alone.load().dialogs, alone.load().transactions), (0, 0, 0));
}

#[test]
fn a_repeated_200_gets_its_ack_again_and_is_no_second_answer() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    let ok = answer(&invite, 200, "t").with_sdp(Some(SDP));
    for _ in 0..3 {
        alone.message(&ok);
    }
    assert_eq!((alone.lines(), alone.news().len()), (vec!["ACK".to_owned(); 3], 1));
}

#[test]
fn the_first_branch_of_a_fork_wins_and_the_others_get_ack_and_bye() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 183, "one").with_sdp(Some("one")));
    alone.message(&answer(&invite, 183, "two").with_sdp(Some("two")));
    alone.message(&answer(&invite, 200, "two").with_sdp(Some("two")));
    alone.sent();
    alone.news();
    alone.message(&answer(&invite, 200, "one").with_sdp(Some("one")));
    let sent = alone.sent();
    assert_eq!(sent.iter().filter_map(Message::method).collect::<Vec<_>>(), [&Method::Ack, &Method::Bye]);
    assert!(sent.iter().all(|message| message.header("To").is_some_and(|to| to.ends_with(";tag=one"))));
    assert!(alone.news().is_empty());
    assert_eq!(alone.load().calls, 1);
}

#[test]
fn an_answer_without_a_description_is_that_of_its_early_one_or_none() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 183, "other").with_sdp(Some("wrong")));
    alone.message(&answer(&invite, 183, "t").with_sdp(Some("early")));
    alone.news();
    alone.message(&answer(&invite, 200, "t"));
    assert_eq!(alone.news(), [News::Answered("early".to_owned())]);

    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 200, "t"));
    assert_eq!(alone.lines(), ["ACK", "BYE"]);
    assert!(matches!(alone.news().as_slice(), [News::Failed(Failure { code: 488, .. })]));
}

#[test]
fn of_endless_branches_the_first_early_descriptions_are_kept() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    for fork in 0..100 {
        alone.message(&answer(&invite, 183, &format!("t{fork}")).with_sdp(Some("early")));
    }
    alone.news();
    alone.message(&answer(&invite, 200, "t50"));
    assert!(matches!(alone.news().as_slice(), [News::Failed(Failure { code: 488, .. })]));
}

#[test]
fn a_request_that_is_being_worked_on_is_repeated_each_four_seconds_only() {
    let mut alone = Alone::new();
    let (id, _) = alone.answered(&invite("a", Some(SDP)));
    alone.wish(id, Wish::HangUp);
    let bye = alone.one();
    alone.message(&answer(&bye, 100, ""));
    alone.pass(seconds(9));
    // After 0.5 s, and then each four.
    assert_eq!(alone.lines(), ["BYE"; 3]);
}

#[test]
fn a_refusal_is_acknowledged_and_told_with_the_time_it_names() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    let refusal = answer(&invite, 503, "t").with("Retry-After", "120 (maintenance)");
    alone.message(&refusal);
    let ack = alone.one();
    assert_eq!(
        (ack.method(), ack.header("Via"), ack.header("To")),
        (Some(&Method::Ack), invite.header("Via"), refusal.header("To"))
    );
    let retry_after = Some(seconds(120));
    assert_eq!(
        alone.news(),
        [News::Failed(Failure { code: 503, reason: "Service Unavailable".to_owned(), retry_after })]
    );
    alone.message(&refusal);
    assert_eq!((alone.lines(), alone.news().len()), (vec!["ACK".to_owned()], 0));
}

#[test]
fn a_redirection_is_not_followed() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 302, "t").with("Contact", "<sip:+1900555@elsewhere.example>"));
    assert_eq!(alone.lines(), ["ACK"]);
    assert_eq!(alone.news(), [failed(302, "Moved Temporarily")]);
}

#[test]
fn an_invite_is_repeated_and_given_up_after_ten_seconds_without_any_answer() {
    let mut alone = Alone::new();
    alone.call("1");
    alone.pass(Duration::from_millis(9_999));
    // At 0, 0.5, 1.5, 3.5 and 7.5 s.
    assert_eq!(alone.lines().len(), 5);
    assert!(alone.news().is_empty());
    alone.pass(Duration::from_millis(1));
    assert_eq!(alone.news(), [failed(408, "Request Timeout")]);
    alone.pass(seconds(100));
    assert!(alone.sent().is_empty());
    assert_eq!((alone.load().calls, alone.load().transactions), (0, 0));
}

#[test]
fn what_answers_too_late_is_taken_back() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    alone.pass(seconds(11));
    alone.sent();
    alone.message(&answer(&invite, 180, "t"));
    assert_eq!(alone.lines(), ["CANCEL"]);
    alone.message(&answer(&invite, 200, "t").with_sdp(Some(SDP)));
    assert_eq!(alone.lines(), ["ACK", "BYE"]);
}

#[test]
fn a_provisional_answer_ends_the_ten_seconds_and_the_repetitions() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 100, ""));
    alone.pass(seconds(60));
    assert!(alone.sent().is_empty());
    assert_eq!(alone.news(), [News::Trying]);
}

#[test]
fn giving_up_cancels_but_not_before_something_was_heard() {
    let mut alone = Alone::new();
    let id = alone.call("1");
    let invite = alone.one();
    alone.wish(id, Wish::HangUp);
    assert!(alone.sent().is_empty());
    alone.message(&answer(&invite, 180, "t"));
    let cancel = alone.one();
    assert_eq!(
        (cancel.method(), cancel.header("Via"), cancel.header("CSeq")),
        (Some(&Method::Cancel), invite.header("Via"), Some("1 CANCEL"))
    );
    alone.message(&answer(&cancel, 200, "t"));
    alone.message(&answer(&invite, 487, "t"));
    assert_eq!(alone.lines(), ["ACK"]);
    assert!(alone.news().is_empty(), "who gave up knows");
    alone.pass(seconds(40));
    assert_eq!((alone.load().calls, alone.load().transactions), (0, 0));
}

#[test]
fn a_cancel_that_nobody_hears_ends_the_call_after_32_seconds() {
    let mut alone = Alone::new();
    let id = alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 180, "t"));
    alone.wish(id, Wish::HangUp);
    alone.pass(Duration::from_millis(31_999));
    assert_eq!(alone.load().calls, 1);
    alone.pass(Duration::from_millis(1));
    assert_eq!((alone.load().calls, alone.load().transactions), (0, 0));
}

#[test]
fn an_answer_that_crosses_the_cancel_is_hung_up() {
    let mut alone = Alone::new();
    let id = alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 180, "t"));
    alone.wish(id, Wish::HangUp);
    alone.sent();
    alone.news();
    alone.message(&answer(&invite, 200, "t").with_sdp(Some(SDP)));
    assert_eq!(alone.lines(), ["ACK", "BYE"]);
    assert_eq!((alone.load().calls, alone.news().len()), (0, 0));
}

#[test]
fn an_answer_that_cannot_be_read_fails_the_call() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 180, "t"));
    alone.news();
    let mut ok = answer(&invite, 200, "t").with_sdp(Some(SDP));
    ok.set("To", "<sip:1@192.0.2.1>");
    alone.message(&ok);
    assert_eq!((alone.news(), alone.load().calls), (vec![failed(502, "Bad Gateway")], 0));
}

#[test]
fn another_trunk_cannot_answer_a_call() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    let ok = answer(&invite, 200, "t").with_sdp(Some(SDP));
    alone.message_of(TrunkId(1), &ok);
    assert_eq!((alone.sent().len(), alone.news().len()), (0, 0));
    alone.message(&ok);
    assert_eq!(alone.news(), [News::Answered(SDP.to_owned())]);
    alone.sent();
    let bye = Script::called(&invite, &ok).request(Method::Bye);
    alone.message_of(TrunkId(1), &bye);
    assert_eq!((alone.lines(), alone.load().calls), (vec!["481".to_owned()], 1), "nor end it");
}

#[test]
fn a_challenge_is_answered_once_with_the_next_number() {
    let mut alone = Alone::quiet(with_password());
    alone.call("1");
    let invite = alone.one();
    let challenge =
        answer(&invite, 407, "t").with("Proxy-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"");
    alone.message(&challenge);
    let sent = alone.sent();
    assert_eq!(sent.iter().filter_map(Message::method).collect::<Vec<_>>(), [&Method::Ack, &Method::Invite]);
    let again = sent.last().expect("the INVITE");
    assert_eq!(
        (again.header("CSeq"), again.call_id(), again.header("From")),
        (Some("2 INVITE"), invite.call_id(), invite.header("From"))
    );
    assert_ne!(again.header("Via"), invite.header("Via"));
    let proof = again.header("Proxy-Authorization").expect("is proven");
    assert!(proof.contains("qop=auth,") && proof.contains("uri=\"sip:1@192.0.2.1;user=phone\""), "{proof}");
    alone.message(&answer(again, 407, "t").with("Proxy-Authenticate", "Digest realm=\"r\", nonce=\"m\", qop=\"auth\""));
    assert_eq!(alone.news(), [failed(407, "Proxy Authentication Required")]);
}

#[test]
fn without_a_password_a_challenge_is_a_refusal() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 401, "t").with("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\""));
    assert_eq!((alone.lines(), alone.news()), (vec!["ACK".to_owned()], vec![failed(401, "Unauthorized")]));
}

#[test]
fn a_bye_that_is_challenged_goes_again_with_its_proof() {
    let mut alone = Alone::quiet(with_password());
    let id = alone.call("1");
    let invite = alone.one();
    alone.message(&answer(&invite, 200, "t").with_sdp(Some(SDP)));
    alone.wish(id, Wish::HangUp);
    let bye = alone.sent().pop().expect("BYE");
    alone.message(&answer(&bye, 401, "").with("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\""));
    let again = alone.one();
    assert_eq!((again.header("CSeq"), again.header("Authorization").is_some()), (Some("3 BYE"), true));
}

#[test]
fn a_trunk_that_wants_a_longer_interval_gets_it_a_few_times() {
    let mut alone = Alone::new();
    alone.call("1");
    let mut invite = alone.one();
    for least in [2000, 3000, 4000] {
        alone.message(&answer(&invite, 422, "t").with("Min-SE", least.to_string()));
        invite = alone.sent().pop().expect("again");
        assert_eq!((invite.seconds("Session-Expires"), invite.seconds("Min-SE")), (Some(least), Some(least)));
    }
    alone.message(&answer(&invite, 422, "t").with("Min-SE", "5000"));
    assert_eq!(alone.news(), [failed(422, "Session Interval Too Small")]);
}

#[test]
fn a_trunk_that_hangs_up_ends_the_call() {
    let mut alone = Alone::new();
    alone.call("1");
    let invite = alone.one();
    let ok = answer(&invite, 200, "t").with_sdp(Some(SDP));
    alone.message(&ok);
    alone.sent();
    alone.news();
    alone.message(&Script::called(&invite, &ok).request(Method::Bye));
    assert_eq!((alone.lines(), alone.news()), (vec!["200".to_owned()], vec![News::Ended(Ended::HungUp)]));
}

#[test]
fn what_is_no_number_is_not_called_and_an_unknown_caller_is_anonymous() {
    for number in ["", "+", "12;phone-context=x", "1@elsewhere", "a", "+49 30", "112\r\nX: y"] {
        let mut alone = Alone::new();
        alone.call(number);
        assert_eq!((alone.sent().len(), alone.news()), (0, vec![failed(484, "Address Incomplete")]), "{number}");
    }
    let mut alone = Alone::new();
    let order = Order { trunk: TRUNK, number: "1".to_owned(), caller: Party::default(), offer: OURS.to_owned() };
    alone.agent.call(alone.now, crate::stack::CallId(9), &order);
    alone.drain();
    let invite = alone.one();
    assert_eq!((invite.header("Privacy"), invite.header("P-Asserted-Identity")), (Some("id"), None));
    assert!(invite.header("From").is_some_and(|from| from.contains("anonymous@anonymous.invalid")));
}

#[test]
fn a_full_trunk_takes_no_more_calls_and_frees_its_place() {
    let mut alone = Alone::quiet(Trunk { sessions: 1, ..trunk() });
    let (id, _) = alone.answered(&invite("a", Some(SDP)));
    alone.call("1");
    assert_eq!(alone.news(), [failed(503, "Service Unavailable")]);
    assert!(alone.states.last().expect("told").is_nearly_full());
    alone.wish(id, Wish::HangUp);
    alone.sent();
    alone.call("1");
    assert_eq!(alone.lines(), ["INVITE"]);
}

#[test]
fn a_trunk_that_cannot_be_reached_fails_the_call_at_once() {
    let mut alone = Alone::quiet(Trunk { transport: Transport::Tcp, ..trunk() });
    alone.call("1");
    assert_eq!(alone.lines(), ["INVITE"]);
    alone.agent.unreachable(alone.now, TRUNK);
    alone.drain();
    assert_eq!(alone.news(), [failed(503, "Service Unavailable")]);
}
