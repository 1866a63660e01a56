//! What happens to whose network when: named profiles, and plans of named steps that a [`crate::Stage`] follows.
//!
//! ```text
//! const DIP: &[Step] = &[
//!     at_ms(0, "good").everybody(B),
//!     at_ms(5_000, "dip").down(3, B.down.narrowed(500_000, 250)),
//!     at_ms(20_000, "release").down(3, B.down),
//!     at_ms(30_000, "new port").rebind(3),
//! ];
//! stage.follow(DIP);  ...  stage.when("dip")
//! ```

use std::fmt;

use engine::clock::Micros;

use crate::link::{Bursts, Impairment};

/// Both directions of somebody's network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// As reports say it.
    pub name: &'static str,
    /// From the browser to the server.
    pub up: Impairment,
    /// From the server to the browser.
    pub down: Impairment,
}

impl Profile {
    const fn symmetric(name: &'static str, one_way: Impairment) -> Self {
        Self { name, up: one_way, down: one_way }
    }
}

/// The default, in a form that constants may use.
const CLEAR: Impairment = Impairment {
    loss: 0.0,
    bursts: None,
    delay: Micros(0),
    jitter: Micros(0),
    reorder: false,
    stragglers: 0.0,
    held_back: Micros(0),
    duplicates: 0.0,
    capacity_bps: None,
    queue: Micros(0),
};

// Round-trip times are shared out evenly; loss and jitter are each direction's.

/// 20 ms round trip, clean.
pub const A: Profile = Profile::symmetric("A", Impairment { delay: Micros::from_millis(10), ..CLEAR });
/// 50 ms round trip, 1 % loss, 10 ms jitter.
pub const B: Profile = Profile::symmetric(
    "B",
    Impairment { delay: Micros::from_millis(25), jitter: Micros::from_millis(10), loss: 0.01, ..CLEAR },
);
/// 150 ms round trip, 5 % loss in bursts, 30 ms jitter.
pub const C: Profile = Profile::symmetric(
    "C",
    Impairment {
        delay: Micros::from_millis(75),
        jitter: Micros::from_millis(30),
        bursts: Some(Bursts { share: 0.05, length: 4.0 }),
        ..CLEAR
    },
);
/// 10 % random loss, at the distance of B.
pub const D: Profile = Profile::symmetric("D", Impairment { delay: Micros::from_millis(25), loss: 0.1, ..CLEAR });
/// The worst that D may be: 20 %.
pub const D20: Profile = Profile::symmetric("D20", Impairment { delay: Micros::from_millis(25), loss: 0.2, ..CLEAR });

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Since the plan began.
    pub at: Micros,
    /// By which a test asks when it was.
    pub name: &'static str,
    /// What happens.
    pub change: Change,
}

/// What a step does. Browsers are known by their numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Each browser, also one that joins later, gets links of its own that are like this.
    Everybody(Profile),
    /// One browser gets links of its own that are like this.
    Profile(u32, Profile),
    /// Its uplink.
    Up(u32, Impairment),
    /// Its downlink.
    Down(u32, Impairment),
    /// The uplink that all share who have none of their own.
    SharedUp(Impairment),
    /// The downlink that all share who have none of their own.
    SharedDown(Impairment),
    /// Its NAT gives it another port, and forgets the old one.
    Rebind(u32),
}

/// Begins a step: when, and what it is called. What happens comes next.
#[must_use]
pub const fn at_ms(ms: u64, name: &'static str) -> Moment {
    Moment { at: Micros::from_millis(ms), name }
}

/// A step that still has to say what happens.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: Micros,
    name: &'static str,
}

impl Moment {
    const fn does(self, change: Change) -> Step {
        Step { at: self.at, name: self.name, change }
    }

    /// [`Change::Everybody`].
    #[must_use]
    pub const fn everybody(self, profile: Profile) -> Step {
        self.does(Change::Everybody(profile))
    }

    /// [`Change::Profile`].
    #[must_use]
    pub const fn profile(self, number: u32, profile: Profile) -> Step {
        self.does(Change::Profile(number, profile))
    }

    /// [`Change::Up`].
    #[must_use]
    pub const fn up(self, number: u32, impairment: Impairment) -> Step {
        self.does(Change::Up(number, impairment))
    }

    /// [`Change::Down`].
    #[must_use]
    pub const fn down(self, number: u32, impairment: Impairment) -> Step {
        self.does(Change::Down(number, impairment))
    }

    /// [`Change::SharedUp`].
    #[must_use]
    pub const fn shared_up(self, impairment: Impairment) -> Step {
        self.does(Change::SharedUp(impairment))
    }

    /// [`Change::SharedDown`].
    #[must_use]
    pub const fn shared_down(self, impairment: Impairment) -> Step {
        self.does(Change::SharedDown(impairment))
    }

    /// [`Change::Rebind`].
    #[must_use]
    pub const fn rebind(self, number: u32) -> Step {
        self.does(Change::Rebind(number))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} s, {}: ", self.at.0 as f64 / 1e6, self.name)?;
        match self.change {
            Change::Everybody(Profile { name, up, down }) => {
                write!(f, "profile {name} for everybody (up: {up}; down: {down})")
            }
            Change::Profile(number, Profile { name, up, down }) => {
                write!(f, "profile {name} for {number} (up: {up}; down: {down})")
            }
            Change::Up(number, impairment) => write!(f, "uplink of {number}: {impairment}"),
            Change::Down(number, impairment) => write!(f, "downlink of {number}: {impairment}"),
            Change::SharedUp(impairment) => write!(f, "shared uplink: {impairment}"),
            Change::SharedDown(impairment) => write!(f, "shared downlink: {impairment}"),
            Change::Rebind(number) => write!(f, "another port for {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_as_it_was_written() {
        let step = at_ms(5_000, "dip").down(3, A.down.narrowed(500_000, 250));
        assert_eq!(step.to_string(), "at 5 s, dip: downlink of 3: 0.5 Mbit/s, queue 250 ms, delay 10 ms");
        assert_eq!(at_ms(1_500, "move").rebind(2).to_string(), "at 1.5 s, move: another port for 2");
    }

    #[test]
    fn the_clear_constant_is_the_default() {
        assert_eq!(CLEAR, Impairment::default());
    }
}
