//! What an answer is believed in spite of.

/// Something about an answer that no server of this protocol should do, and that does no harm: the
/// answer is believed, and the oddity told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Oddity {
    /// It is the JSON that was expected, under another content type or none.
    ContentType,
    /// The list of messages is missing, or `null`, as servers before 3.1.10 wrote an empty one.
    NoMessages,
}
