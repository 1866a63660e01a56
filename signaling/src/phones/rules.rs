//! What the operator says about phones: under which numbers the server is reached, and which it may call.

/// How phones come into meetings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhoneRules {
    /// The server's own numbers, in the order in which invitations name them. None: nobody is told how to dial in.
    pub numbers: Vec<DialInNumber>,
    /// Numbers that are somebody's own. Nobody dials in by them.
    pub personal: Vec<PersonalNumber>,
    /// How people are called out of a meeting; none: nobody is.
    pub dial_out: Option<DialOutRules>,
}

/// A number under which the server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialInNumber {
    /// As people read it.
    pub number: String,
    /// Where that is, in a word; may be empty.
    pub name: String,
}

/// Somebody's own number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalNumber {
    /// As people dial it.
    pub number: String,
    /// Their organisation.
    pub tenant: String,
    /// Their name in it, as a token is made for.
    pub user: String,
}

/// Which numbers may be called, and how many at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialOutRules {
    /// How numbers begin that may be called (`+49`); none: nobody is called.
    pub prefixes: Vec<String>,
    /// Numbers that are never called, as whoever answers there must know where the caller is.
    pub emergency: Vec<String>,
    /// Calls out of one meeting that are not over.
    pub calls_per_meeting: usize,
    /// Calls out of all meetings of one organisation that are not over.
    pub calls_per_organization: usize,
    /// Calls within an hour of one number out of all meetings of one organisation, so that nobody is terrorised by us.
    pub calls_per_number: u32,
}
