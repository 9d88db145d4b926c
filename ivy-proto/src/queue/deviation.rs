//! Deviations of a response that are tolerated.

/// A harmless deviation of a response from the protocol: the response is accepted, and the oddity
/// reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ResponseDeviation {
    /// It is the expected JSON, but its content type is another one or missing.
    ContentType,
    /// The list of messages is missing, or `null`, as servers before 3.1.10 wrote an empty one.
    NoMessages,
}
