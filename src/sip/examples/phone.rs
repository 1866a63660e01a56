//! The signalling alone, without media: a peer for SIP test tools and phones, and a way to look at a trunk by hand.
//!
//! It answers every call with a fixed description, answers changes, and prints what happens. `tests/phone/README.md` shows how SIPp is
//! put against it.
//!
//! ```text
//! cargo run -p sip --example phone -- udp 127.0.0.1:5060 127.0.0.1:5070            # answers
//! cargo run -p sip --example phone -- udp 127.0.0.1:5060 127.0.0.1:5070 +4930123   # calls that number
//! ```
//!
//! Arguments: transport, own address, the trunk's address, and for calls out a number, a user and a password.
#![allow(clippy::print_stdout)] // its purpose

use std::net::SocketAddr;
use std::time::Duration;

use sip::stack::{Call, CallEvent, Config, Credentials, Listen, Order, Party, Stack, Transport, Trunk, TrunkId};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 101\r\n\
                   a=rtpmap:101 telephone-event/8000\r\n";

/// A call to this number rings until the caller gives up.
const RINGS: &str = "+4940666";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [transport, here, there, rest @ ..] = args.as_slice() else {
        return Err("arguments: transport, own address, trunk's address, [number, user, password]".into());
    };
    let (here, there): (SocketAddr, SocketAddr) = (here.parse()?, there.parse()?);
    let (transport, listen) = match transport.as_str() {
        "tcp" => (Transport::Tcp, Listen { tcp: Some(here), ..Listen::default() }),
        _ => (Transport::Udp, Listen { udp: Some(here), ..Listen::default() }),
    };
    let mut trunk = Trunk::new("by hand", transport, &there.ip().to_string(), there.port());
    trunk.sessions = 10_000;
    if let [_, username, password] = rest {
        trunk.credentials = Some(Credentials { username: username.clone(), password: password.clone().into() });
        trunk.register = true;
    }
    let (stack, mut incoming) = Stack::start(Config { listen, trunks: vec![trunk], ..Config::default() }).await?;
    if let Some(number) = rest.first() {
        let caller = Party { number: Some("+4930999".to_owned()), display: Some("Plenum".to_owned()) };
        let order = Order { trunk: TrunkId(0), number: number.clone(), caller, offer: SDP.to_owned() };
        follow(stack.call(order).await?).await;
        stack.leave(Duration::from_secs(5)).await;
        return Ok(());
    }
    while let Some(arrived) = incoming.recv().await {
        tokio::spawn(async move {
            // Fails only when the signalling has stopped, and the program with it.
            let _ = arrived.call.ring().await;
            if !arrived.called.iter().any(|number| number == RINGS) {
                let _ = arrived.call.accept(SDP.to_owned()).await;
            }
            follow(arrived.call).await;
        });
    }
    Ok(())
}

async fn follow(mut call: Call) {
    while let Some(event) = call.next().await {
        match event {
            CallEvent::Changed(changed) => {
                println!("changed, with an offer: {}", changed.offer.is_some());
                let _ = changed.reply.accept(SDP.to_owned()).await;
            }
            CallEvent::Info { kind, body } => {
                println!("info {kind}: {}", String::from_utf8_lossy(&body).escape_debug())
            }
            event => println!("{event:?}"),
        }
    }
}
