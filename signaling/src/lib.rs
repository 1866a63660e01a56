//! The browser's and integrator's door.

pub mod id;
pub mod ports;
