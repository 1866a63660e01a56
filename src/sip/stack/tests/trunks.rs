//! Trunks: OPTIONS, registration, leaving.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::alone::*;
use crate::stack::agent::{Agent, Output, Reachable};
use crate::stack::message::{Message, Method};
use crate::stack::news::{CallId, Ended, News, Order, Party};
use crate::stack::path::{Transport, TrunkId};
use crate::stack::register::Registration;
use crate::stack::trunk::Trunk;
use crate::stack::{Candidate, Credentials, OPTIONS_INTERVAL, order, tries_next};

fn registering() -> Trunk {
    let credentials = Credentials { username: "us".to_owned(), password: "secret".to_owned().into() };
    Trunk { credentials: Some(credentials), register: true, ..trunk() }
}

fn registers(alone: &mut Alone) -> Vec<Message> {
    alone.sent().into_iter().filter(|message| message.method() == Some(&Method::Register)).collect()
}

#[test]
fn a_trunk_that_answers_nothing_for_three_minutes_is_unhealthy_until_it_asks_or_answers() {
    let mut alone = Alone::with(Trunk { options_interval: OPTIONS_INTERVAL, ..trunk() });
    alone.pass(seconds(179));
    assert!(alone.states.iter().all(|state| state.healthy));
    alone.pass(seconds(1));
    assert!(!alone.states.last().expect("told").healthy);
    let mut options = invite("o", None);
    options.start = Message::request(Method::Options, "sip:198.51.100.1".to_owned()).start;
    options.set("CSeq", "1 OPTIONS");
    alone.message(&options);
    assert!(alone.states.last().expect("told").healthy);
    alone.sent();
    alone.pass(seconds(180));
    assert!(!alone.states.last().expect("told").healthy);
    let ours = alone.sent().into_iter().rev().find(|sent| sent.method() == Some(&Method::Options)).expect("we ask on");
    alone.message(&answer(&ours, 503, ""));
    assert!(!alone.states.last().expect("told").healthy, "503 says that nobody is there");
    alone.pass(seconds(60));
    let ours = alone.sent().into_iter().rev().find(|sent| sent.method() == Some(&Method::Options)).expect("we ask on");
    alone.message(&answer(&ours, 404, ""));
    assert!(alone.states.last().expect("told").healthy);
}

#[test]
fn an_absurd_interval_neither_floods_nor_stops_anything() {
    let options = |interval| {
        let mut alone = Alone::with(Trunk { options_interval: interval, ..trunk() });
        alone.pass(seconds(60));
        let ids = alone.sent().into_iter().map(|sent| sent.call_id().to_owned());
        ids.collect::<HashSet<_>>().len()
    };
    assert_eq!((options(seconds(0)), options(Duration::MAX)), (13, 1));
}

#[test]
fn a_registration_is_proven_refreshed_and_taken_back() {
    let mut alone = Alone::with(registering());
    let first = registers(&mut alone).pop().expect("REGISTER");
    assert_eq!(
        (first.seconds("Expires"), first.contact().and_then(|contact| contact.user()).as_deref()),
        (Some(3600), Some("plenum"))
    );
    alone.message(&answer(&first, 401, "r").with("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\""));
    let proven = registers(&mut alone).pop().expect("again");
    assert_eq!((proven.call_id(), proven.header("CSeq")), (first.call_id(), Some("2 REGISTER")));
    let mut granted = answer(&proven, 200, "r");
    granted.set("Contact", "<sip:plenum@198.51.100.1>;expires=600, <sip:other@x>;expires=5");
    alone.message(&granted);
    assert_eq!(alone.states.last().expect("told").registration, Registration::Registered);
    alone.pass(seconds(539));
    assert!(registers(&mut alone).is_empty());
    alone.pass(seconds(1));
    let refresh = registers(&mut alone).pop().expect("a refresh");
    assert_eq!(refresh.header("CSeq"), Some("3 REGISTER"));
    alone.message(&answer(&refresh, 200, "r").with("Expires", "600"));
    alone.leave();
    let back = registers(&mut alone).pop().expect("taken back");
    assert_eq!(back.seconds("Expires"), Some(0));
    assert!(!alone.agent.is_idle());
    alone.message(&answer(&back, 200, "r"));
    alone.pass(seconds(0));
    assert!(registers(&mut alone).is_empty());
}

/// A registrar puts our Contact into the Request-URI: who was called is said elsewhere then.
#[test]
fn the_number_that_was_called_is_found_behind_our_own_contact() {
    let numbered = Trunk { contact: "+49309".to_owned(), ..registering() };
    for (trunk, user, asked, expected) in [
        (trunk(), "plenum", "", &["plenum"][..]),
        (registering(), "plenum", "", &["+4940555", "plenum"]),
        (registering(), "plenum", "\"Us\" <tel:+4940777>", &["+4940777", "+4940555", "plenum"]),
        (registering(), "plenum", "<<", &["+4940555", "plenum"]),
        (registering(), "+4940888", "<tel:+4940777>", &["+4940888"]),
        (numbered, "+49309", "", &["+4940555", "+49309"]),
    ] {
        let mut alone = Alone::with(trunk);
        let mut invite = invite("a", Some(SDP));
        invite.start = Message::request(Method::Invite, format!("sip:{user}@198.51.100.1")).start;
        if !asked.is_empty() {
            invite = invite.with("P-Called-Party-ID", asked);
        }
        alone.message(&invite);
        assert_eq!(alone.arrivals.pop().expect("a call").called, expected, "{user} {asked}");
    }
}

#[test]
fn an_account_has_the_trunks_domain_and_our_own_host_in_its_contact() {
    for (domain, account, registrar) in [
        (None, "trunk.example", "sip:trunk.example:5080"),
        (Some("account.example"), "account.example", "sip:account.example"),
    ] {
        let domain = domain.map(str::to_owned);
        let mut alone = Alone::with(Trunk { host: "trunk.example".to_owned(), port: 5080, domain, ..registering() });
        let register = registers(&mut alone).pop().expect("REGISTER");
        assert_eq!(register.uri().expect("has one").to_string(), registrar);
        assert_eq!(register.header("To"), Some(format!("<sip:us@{account}>").as_str()));
        assert_eq!(register.header("Contact"), Some("<sip:plenum@198.51.100.1:5060>"));
        alone.call("+4940555");
        let invite = alone.sent().into_iter().rfind(|sent| sent.method() == Some(&Method::Invite)).expect("INVITE");
        let from = invite.sender().expect("has one").uri;
        assert_eq!((from.user().as_deref(), from.host.as_str()), (Some("+4930123"), account));
    }
}

/// Registered by TCP, with the first messages answered.
fn registered(contacts: &str) -> Alone {
    let mut alone = Alone::with(Trunk { transport: Transport::Tcp, options_interval: seconds(60), ..registering() });
    for sent in alone.sent() {
        let mut granted = answer(&sent, 200, "r");
        granted.set("Contact", contacts);
        alone.message(&granted);
    }
    assert_eq!(alone.states.last().expect("told").registration, Registration::Registered);
    alone
}

#[test]
fn of_all_contacts_of_an_account_ours_says_for_how_long_and_the_shortest_where_it_is_not_known() {
    let refreshed = |contacts: &str| {
        let mut alone = registered(contacts);
        (1..4_000).find(|_| {
            alone.pass(seconds(1));
            !registers(&mut alone).is_empty()
        })
    };
    let ours = "<sip:plenum@198.51.100.1:5060;transport=tcp;alias=192.0.2.9~4711~2>;expires=600";
    assert_eq!(
        refreshed(&format!("<sip:desk@192.0.2.7>;expires=60, {ours}, <sip:plenum@192.0.2.8>;expires=30")),
        Some(540)
    );
    assert_eq!(refreshed("<sip:desk@192.0.2.7>;expires=300, <sip:plenum@192.0.2.8:4711>;expires=120"), Some(108));
}

#[test]
fn who_loses_the_connection_it_registered_by_registers_anew() {
    let mut alone = registered("<sip:plenum@198.51.100.1:5060;transport=tcp>;expires=600");
    alone.pass(seconds(30));
    alone.sent();
    alone.agent.unreachable(alone.now, TRUNK);
    alone.pass(seconds(0));
    let again = registers(&mut alone);
    assert_eq!(again.len(), 1, "at once");
    alone.agent.unreachable(alone.now, TRUNK);
    alone.drain();
    assert!(registers(&mut alone).is_empty());
    assert_eq!(alone.states.last().expect("told").registration, Registration::Refused(503));
    alone.leave();
    alone.agent.unreachable(alone.now, TRUNK);
    alone.pass(seconds(600));
    assert!(registers(&mut alone).is_empty(), "who leaves does not register");
}

#[test]
fn a_trunk_that_was_away_is_registered_at_when_it_is_back() {
    let mut alone = registered("<sip:plenum@198.51.100.1:5060;transport=tcp>;expires=3600");
    alone.pass(seconds(240));
    assert!(!alone.states.last().expect("told").healthy);
    let options = alone.sent().into_iter().rfind(|sent| sent.method() == Some(&Method::Options)).expect("we ask on");
    alone.message(&answer(&options, 200, ""));
    alone.pass(seconds(0));
    assert!(alone.states.last().expect("told").healthy);
    assert_eq!(registers(&mut alone).len(), 1);
}

#[test]
fn a_refused_registration_is_told_and_tried_again_later() {
    let mut alone = Alone::with(registering());
    let first = registers(&mut alone).pop().expect("REGISTER");
    alone.message(&answer(&first, 403, "r"));
    assert_eq!(alone.states.last().expect("told").registration, Registration::Refused(403));
    alone.pass(seconds(4));
    assert!(registers(&mut alone).is_empty());
    alone.pass(seconds(1));
    let second = registers(&mut alone).pop().expect("again");
    alone.message(&answer(&second, 423, "r").with("Min-Expires", "7200"));
    alone.pass(seconds(0));
    assert_eq!(registers(&mut alone).pop().expect("for longer").seconds("Expires"), Some(7200));
    alone.pass(seconds(32));
    assert_eq!(alone.states.last().expect("told").registration, Registration::Refused(408));
}

#[test]
fn a_leaving_server_ends_its_calls_and_takes_no_more() {
    let mut alone = Alone::new();
    let (_, _) = alone.answered(&invite("a", Some(SDP)));
    alone.message(&invite("b", Some(SDP)));
    alone.sent();
    alone.leave();
    let sent = alone.sent();
    assert_eq!(sent.iter().filter(|sent| sent.method() == Some(&Method::Bye)).count(), 1);
    assert_eq!(sent.iter().filter(|sent| sent.code() == Some(503)).count(), 1);
    assert_eq!(alone.news(), [News::Ended(Ended::ShutDown), News::Ended(Ended::ShutDown)]);
    alone.message(&invite("c", Some(SDP)));
    let refusal = alone.one();
    assert_eq!((refusal.code(), refusal.header("Retry-After").is_some()), (Some(503), true));
    assert!(!alone.agent.is_idle(), "the BYE is not answered");
    let bye = sent.into_iter().find(|sent| sent.method() == Some(&Method::Bye)).expect("BYE");
    alone.message(&answer(&bye, 200, ""));
    assert!(alone.agent.is_idle());
}

/// What a gateway does with the pieces: the order, ten seconds, the next one.
#[test]
fn a_mute_trunk_leaves_the_call_to_the_next_one_after_ten_seconds() {
    let candidates = [0, 1].map(|index: u32| Candidate {
        trunk: TrunkId(index as usize),
        rank: index,
        healthy: true,
        has_room: true,
    });
    let start = Instant::now();
    let trunks = ["192.0.2.1", "192.0.2.2"].map(|host| Trunk { host: host.to_owned(), ..trunk() });
    let at = Reachable { udp: Some("198.51.100.1:5060".to_owned()), ..Reachable::default() };
    let mut agent = Agent::new(trunks.to_vec(), at, [1; 32], start);
    for (index, host) in ["192.0.2.1:5060", "192.0.2.2:5060"].iter().enumerate() {
        agent.resolved(start, TrunkId(index), host.parse().expect("an address"));
    }
    let (mut now, mut rang) = (start, Vec::new());
    for (id, trunk) in order(&candidates, 3).into_iter().enumerate() {
        let call = CallId(id as u64);
        let order = Order { trunk, number: "1".to_owned(), caller: Party::default(), offer: OURS.to_owned() };
        agent.call(now, call, &order);
        let mut failed = None;
        while failed.is_none() {
            while let Some(output) = agent.poll() {
                match output {
                    Output::Transmit(sent)
                        if sent.bytes.starts_with(b"INVITE") && rang.last() != Some(&(sent.path, now - start)) =>
                    {
                        rang.push((sent.path, now - start));
                    }
                    Output::News(_, News::Failed(failure)) => failed = Some(failure.code),
                    _ => {}
                }
            }
            if failed.is_none() {
                now = agent.due().expect("something is due");
                agent.expire(now);
            }
        }
        assert!(failed.is_some_and(tries_next));
    }
    let second = rang.iter().find(|(path, _)| path.trunk == TrunkId(1)).map(|(_, after)| *after);
    assert_eq!(second, Some(seconds(10)));
    assert_eq!(rang.first().map(|(path, _)| path.trunk), Some(TrunkId(0)));
}
