//! The SFU: forwards each publication to the slots that want it. Never decodes media.

pub mod endpoint;
pub mod id;
pub mod tap;
