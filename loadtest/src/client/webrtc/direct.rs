//! One publisher straight to one receiver, both ours, with no server between: what the clients themselves delay.
//!
//! The delay through a server holds both client stacks' queues. Measured beside it in one run, this tells how much of
//! it is the server's.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::sleep;

use super::peer::{Peer, PeerError};
use super::publisher::Silent;
use super::receiver::Listeners;
use crate::client::Epoch;
use crate::client::stream::StreamFigures;

/// A number that no publisher of a meeting has.
const NUMBER: u16 = u16::MAX;

/// Sends for so long and measures what comes.
pub(crate) async fn measure(
    local: IpAddr,
    bits_per_second: u32,
    length: Duration,
    epoch: Epoch,
) -> Result<Vec<StreamFigures>, PeerError> {
    let (publisher, mut receiver) = (Peer::new(local).await?, Peer::new(local).await?);
    let silent = Silent::new(NUMBER, bits_per_second)?;
    silent.add_to(&publisher).await?;
    let listeners = Listeners::on(&mut receiver, epoch.micros(), epoch);
    let connected = publisher.connect_to(&receiver).await;
    let sources = silent.begin(epoch);
    if connected.is_ok() {
        sleep(length).await;
    }
    let end = epoch.micros();
    sources.end().await;
    publisher.close().await;
    receiver.close().await;
    connected?;
    Ok(listeners.finish(end).await)
}
