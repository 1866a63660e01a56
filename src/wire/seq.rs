//! Sequence numbers and timestamps wrap on the wire and must not wrap in our tables.
//!
//! An unwrapper gives each wire value its nearest place on an endless line, relative to the
//! highest value seen. The first value gets one full turn of headroom, so that packets from
//! before it (reordered or retransmitted) still have a positive place.

/// Whether `a` comes after `b` in the sense of RFC 1982: by less than half a turn. Exactly half
/// a turn apart is undefined there and counts as "not newer" here, both ways round.
#[must_use]
pub const fn seq_newer(a: u16, b: u16) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 0x8000
}

/// Extends 16-bit sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwrapper {
    highest: Option<u64>,
}

impl Unwrapper {
    /// An unwrapper that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// The extended value of `wire`, which becomes the reference for the next if it is the highest.
    /// The first value maps to `65536 + wire`.
    pub fn unwrap(&mut self, wire: u16) -> u64 {
        let extended = self.peek(wire);
        self.highest = self.highest.max(Some(extended));
        extended
    }

    /// The extended value of `wire`, without remembering it.
    #[must_use]
    pub fn peek(&self, wire: u16) -> u64 {
        match self.highest {
            None => (1 << 16) + u64::from(wire),
            Some(highest) => {
                let step = wire.wrapping_sub(highest as u16).cast_signed();
                highest.wrapping_add_signed(i64::from(step))
            }
        }
    }

    /// The highest extended value seen.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Extends 32-bit RTP timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimestampUnwrapper {
    highest: Option<u64>,
}

impl TimestampUnwrapper {
    /// An unwrapper that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// The extended value of `wire`, which becomes the reference for the next if it is the highest.
    /// The first value maps to `2^32 + wire`.
    pub fn unwrap(&mut self, wire: u32) -> u64 {
        let extended = self.peek(wire);
        self.highest = self.highest.max(Some(extended));
        extended
    }

    /// The extended value of `wire`, without remembering it.
    #[must_use]
    pub fn peek(&self, wire: u32) -> u64 {
        match self.highest {
            None => (1 << 32) + u64::from(wire),
            Some(highest) => {
                let step = wire.wrapping_sub(highest as u32).cast_signed();
                highest.wrapping_add_signed(i64::from(step))
            }
        }
    }

    /// The highest extended value seen.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}
