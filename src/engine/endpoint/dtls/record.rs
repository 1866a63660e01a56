//! Records (RFC 6347 §4.1) as far as one can see them without keys.

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const HEADER_LEN: usize = 13;

/// DTLS 1.2 on the wire.
const VERSION: [u8; 2] = [0xfe, 0xfd];

/// Alert level of RFC 5246 §7.2 that ends a session.
const FATAL: u8 = 2;

/// One record of a datagram.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) content: u8,
    pub(super) epoch: u16,
    pub(super) body: &'a [u8],
    /// Header and body.
    pub(super) whole: &'a [u8],
}

/// The records of a datagram, up to the first that is none.
pub(super) struct Records<'a>(pub(super) &'a [u8]);

impl<'a> Records<'a> {
    fn split(&self) -> Option<(Record<'a>, &'a [u8])> {
        let header = self.0.first_chunk::<HEADER_LEN>()?;
        let [content, major, _, e0, e1, .., l0, l1] = *header;
        let known = (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&content) && major == VERSION[0];
        let length = HEADER_LEN + usize::from(u16::from_be_bytes([l0, l1]));
        let (whole, rest) = self.0.split_at_checked(length).filter(|_| known)?;
        let body = whole.get(HEADER_LEN..)?;
        Some((Record { content, epoch: u16::from_be_bytes([e0, e1]), body, whole }, rest))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (record, rest) = self.split()?;
        self.0 = rest;
        Some(record)
    }
}

/// Numbers the unprotected records of one direction. Nothing authenticates these numbers (the Finished messages cover
/// handshake messages only), so whoever passes records on may number them anew.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    next: u64,
}

impl Numbering {
    #[cfg(test)]
    pub(super) const fn starting_at(next: u64) -> Self {
        Self { next }
    }

    /// A new unprotected record.
    pub(super) fn record(&mut self, content: u8, body: &[u8]) -> Vec<u8> {
        let mut record = Vec::with_capacity(HEADER_LEN + body.len());
        record.push(content);
        record.extend_from_slice(&VERSION);
        // Epoch 0, and the 48-bit number in the low six bytes.
        record.extend_from_slice(&(self.next & 0xffff_ffff_ffff).to_be_bytes());
        record.extend_from_slice(&(body.len() as u16).to_be_bytes());
        record.extend_from_slice(body);
        self.next += 1;
        record
    }

    /// The datagram with fresh numbers on its unprotected records; protected ones stay as they are.
    pub(super) fn renumber(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut renumbered = Vec::with_capacity(datagram.len());
        for record in Records(datagram) {
            if record.epoch == 0 {
                renumbered.extend_from_slice(&self.record(record.content, record.body));
            } else {
                renumbered.extend_from_slice(record.whole);
            }
        }
        renumbered
    }

    /// An unprotected fatal alert.
    pub(super) fn fatal_alert(&mut self, description: u8) -> Vec<u8> {
        self.record(ALERT, &[FATAL, description])
    }
}

/// What an unprotected alert means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlainAlert {
    Fatal,
    CloseNotify,
    Warning,
}

pub(super) fn plain_alert(body: &[u8]) -> Option<PlainAlert> {
    match body {
        [FATAL, _] => Some(PlainAlert::Fatal),
        [1, 0] => Some(PlainAlert::CloseNotify),
        [1, _] => Some(PlainAlert::Warning),
        _ => None,
    }
}
