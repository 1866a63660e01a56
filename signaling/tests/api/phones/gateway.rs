//! A gateway that makes no calls: it takes the orders, and a test says what becomes of them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use signaling::phones::{CallEnd, EndReason, Outgoing, Seat, SeatNews};
use signaling::{Config, DialInNumber, DialOutRules, PhoneRules};
use tokio::sync::mpsc;

use crate::common::{Answer, Booked, House, Page, config};

const SOON: Duration = Duration::from_secs(10);
/// Whom everybody calls.
pub(crate) const GRANDMA: &str = "+49 30 1234567";
pub(crate) const GRANDMA_MASKED: &str = "+49•••••••67";

/// What the tests' operator says about phones.
pub(crate) fn rules() -> PhoneRules {
    let number = |number: &str, name: &str| DialInNumber { number: number.to_owned(), name: name.to_owned() };
    PhoneRules {
        personal: Vec::new(),
        numbers: vec![number("+49 30 7654321", "Berlin"), number("+44 20 7654321", "")],
        dial_out: Some(DialOutRules {
            prefixes: vec!["+49".to_owned()],
            emergency: vec!["112".to_owned(), "110".to_owned()],
            calls_per_meeting: 2,
            calls_per_organization: 3,
            calls_per_number: 6,
        }),
    }
}

pub(crate) async fn with_phones(data: &Path) -> Config {
    Config { phone: Some(rules()), ..config(data).await }
}

/// Rules by which nobody is one too many, for tests of something else.
pub(crate) fn generous() -> PhoneRules {
    let mut rules = rules();
    if let Some(out) = &mut rules.dial_out {
        (out.calls_per_meeting, out.calls_per_organization) = (100, 100);
    }
    rules
}

/// A gateway that lets every call go at once.
pub(crate) fn lets_go(house: &House) {
    let mut orders = house.signaling.phones().orders().expect("nobody has taken them");
    tokio::spawn(async move { while orders.recv().await.is_some() {} });
}

/// A room with phones, and the gateway's end of it.
pub(crate) async fn open(data: &Path) -> (House, mpsc::Receiver<Outgoing>) {
    let house = House::open_with(with_phones(data).await).await;
    let orders = house.signaling.phones().orders().expect("nobody has taken them");
    (house, orders)
}

pub(crate) fn calls_of(booked: &Booked) -> String {
    format!("/v1/onlineMeetings/{}/phoneCalls", booked.id())
}

pub(crate) async fn dial(house: &House, booked: &Booked, token: &str, number: &str) -> Answer {
    house.post(&calls_of(booked), token, json!({"phoneNumber": number})).await
}

/// The organiser in their meeting.
pub(crate) async fn ada_in(house: &House, booked: &Booked) -> Page {
    let ada = house.join(booked, &booked.user, "Ada").await;
    house.enter(&ada.token, 0).await
}

pub(crate) async fn next(orders: &mut mpsc::Receiver<Outgoing>) -> Outgoing {
    tokio::time::timeout(SOON, orders.recv()).await.expect("an order in time").expect("a room that runs")
}

pub(crate) async fn cancelled(call: &mut Outgoing) {
    tokio::time::timeout(SOON, call.cancelled()).await.expect("cancelled in time");
}

pub(crate) async fn news(seat: &mut Seat) -> SeatNews {
    tokio::time::timeout(SOON, seat.next()).await.expect("news in time").expect("a seat that is not over")
}

pub(crate) fn end(reason: EndReason) -> CallEnd {
    CallEnd { reason, sip_code: None, trunk: None }
}

/// What a page hears next of calls.
pub(crate) async fn heard(page: &mut Page) -> Value {
    page.until("phoneCalls").await["calls"].clone()
}
