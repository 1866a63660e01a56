//! The browser's and integrator's door.

pub mod auth;
pub mod clock;
pub mod door;
pub mod id;
pub mod ports;
pub mod protocol;
pub mod store;
