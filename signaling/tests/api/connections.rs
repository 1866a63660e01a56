//! How many connections are open at a time, through the door that counts them.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use signaling::door::accept::{Admission, Door, PlainPolicy, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::common::House;

/// Connections at a time.
const PLACES: usize = 3;

/// The same room behind the server's own door. Calls of the API need no connection here, and take no place.
async fn behind_the_door(mut house: House) -> House {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    house.address = listener.local_addr().unwrap();
    let door = Door {
        listeners: vec![listener],
        tls: None,
        plain: PlainPolicy::Serve,
        router: house.router.clone(),
        admission: Admission { connections: PLACES, per_address: None },
    };
    tokio::spawn(serve(door, CancellationToken::new()));
    house
}

/// A connection that asks once and stays open, if it is let in. One that is not is closed without a word.
async fn let_in(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Of a connection that is closed at once either may fail.
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.ok()?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    Some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_the_others_go_on_and_a_place_that_is_left_is_taken_again() {
    let data = tempfile::tempdir().unwrap();
    let house = behind_the_door(House::open(data.path()).await).await;
    let booked = house.meeting(data.path()).await;
    let mut inside = Vec::new();
    for name in ["Ada", "Bob", "Eve"] {
        let joined = house.join(&booked, &booked.user, name).await;
        inside.push(house.enter(&joined.token, 0).await);
    }
    assert_eq!(inside.len(), PLACES);
    for _ in 0..3 {
        assert!(let_in(house.address).await.is_none(), "more than there are places");
    }

    let [ada, bob, _] = inside.as_mut_slice() else { panic!() };
    ada.chat("a", "still here").await;
    bob.until_such(|message| message["event"]["text"] == json!("still here")).await;

    inside.pop().unwrap().hang_up();
    // The place is free as soon as the server noticed.
    let taken = async {
        loop {
            if let Some(stream) = let_in(house.address).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _newcomer = tokio::time::timeout(Duration::from_secs(10), taken).await.expect("a place that was left is taken");
    assert!(let_in(house.address).await.is_none(), "one place was left, not more");
    let [ada, bob] = inside.as_mut_slice() else { panic!() };
    bob.chat("b", "and here").await;
    ada.until_such(|message| message["event"]["text"] == json!("and here")).await;
}
