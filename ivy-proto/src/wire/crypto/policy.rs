//! The encryption policy of a queue.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The form of a message's body: plaintext, or a kind of encrypted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BodyForm {
    /// Plaintext JSON.
    Plain,
    /// The Node package's frame.
    Legacy,
    /// The Node package's frame followed by a tag: [`bridge`](super::bridge).
    Bridge,
    /// The v2 frame: [`ivy2`](super::ivy2).
    V2,
}

impl BodyForm {
    const ALL: [BodyForm; 4] = [BodyForm::Plain, BodyForm::Legacy, BodyForm::Bridge, BodyForm::V2];

    /// The form's name in configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            BodyForm::Plain => "plain",
            BodyForm::Legacy => "legacy",
            BodyForm::Bridge => "bridge",
            BodyForm::V2 => "v2",
        }
    }

    /// Whether a frame of this form cannot be altered or moved undetected.
    #[must_use]
    pub const fn is_authenticated(self) -> bool {
        matches!(self, BodyForm::Bridge | BodyForm::V2)
    }

    /// Whether peers of the Node package can read it.
    #[must_use]
    pub const fn is_readable_by_node(self) -> bool {
        !matches!(self, BodyForm::V2)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for BodyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BodyForm {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        BodyForm::ALL
            .into_iter()
            .find(|form| form.as_str() == text)
            .ok_or(InvalidPolicy::UnknownForm)
    }
}

/// The policy of a queue: the form in which its messages are sent, and the forms that are accepted.
/// A body in another form is dead-lettered as a downgrade, and never run.
///
/// Use one of the steps of a migration from peers of the Node package. Complete each step on all
/// peers before the next:
///
/// step | sends | accepts | when
/// --- | --- | --- | ---
/// [`Policy::legacy`] | legacy | legacy, bridge | peers of the Node package send and receive
/// [`Policy::bridge_from_legacy`] | bridge | legacy, bridge | all ivy peers have the keyset
/// [`Policy::bridge`] | bridge | bridge, v2 | no peer of the Node package sends any more
/// `Policy::new(V2, [Bridge, V2])` | v2 | bridge, v2 | no peer of the Node package receives any more
/// [`Policy::v2`] | v2 | v2 | the queue contains only v2 frames
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    sends: BodyForm,
    accepts: u8,
    max_age: Option<Duration>,
}

/// Why a policy, or the name of a form, is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// Workers would not accept what their peers send, or their own messages of next attempts.
    #[error("the queue sends {0} but does not accept it; accept it too")]
    SendsWhatIsNotAccepted(BodyForm),
    /// The text is not the name of a form.
    #[error("a message form must be plain, legacy, bridge or v2")]
    UnknownForm,
}

impl Policy {
    /// A policy that sends one form and accepts these.
    ///
    /// # Errors
    /// If it does not accept what it sends.
    pub fn new(
        sends: BodyForm,
        accepts: impl IntoIterator<Item = BodyForm>,
    ) -> Result<Self, InvalidPolicy> {
        let policy = Policy {
            sends,
            accepts: accepts.into_iter().fold(0, |set, form| set | form.bit()),
            max_age: None,
        };
        if policy.accepts(sends) {
            Ok(policy)
        } else {
            Err(InvalidPolicy::SendsWhatIsNotAccepted(sends))
        }
    }

    const fn of(sends: BodyForm, accepts: &[BodyForm]) -> Self {
        let (mut set, mut index) = (0, 0);
        while index < accepts.len() {
            set |= 1 << accepts[index] as u8;
            index += 1;
        }
        Policy { sends, accepts: set, max_age: None }
    }

    /// Everything in plaintext.
    #[must_use]
    pub const fn plain() -> Self {
        Policy::of(BodyForm::Plain, &[BodyForm::Plain])
    }

    /// Like the Node package; tags of bridge frames are verified if there is a keyset.
    #[must_use]
    pub const fn legacy() -> Self {
        Policy::of(BodyForm::Legacy, &[BodyForm::Legacy, BodyForm::Bridge])
    }

    /// Sends bridge frames, and also accepts legacy frames of peers of the Node package.
    #[must_use]
    pub const fn bridge_from_legacy() -> Self {
        Policy::of(BodyForm::Bridge, &[BodyForm::Legacy, BodyForm::Bridge])
    }

    /// Sends bridge frames, and accepts only authenticated frames.
    #[must_use]
    pub const fn bridge() -> Self {
        Policy::of(BodyForm::Bridge, &[BodyForm::Bridge, BodyForm::V2])
    }

    /// Accepts everything.
    pub(crate) const fn anything() -> Self {
        Policy::of(BodyForm::Plain, &BodyForm::ALL)
    }

    /// Sends and accepts only v2 frames.
    #[must_use]
    pub const fn v2() -> Self {
        Policy::of(BodyForm::V2, &[BodyForm::V2])
    }

    /// Dead-letters messages whose call is older than this, including delays and retries, or of
    /// unknown age. This prevents the replay of old messages, as far as the clocks of the
    /// peers are right: a minute's difference is tolerated. Default: any age.
    #[must_use]
    pub const fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The form that is sent.
    #[must_use]
    pub const fn sends(self) -> BodyForm {
        self.sends
    }

    /// Whether this form is accepted.
    #[must_use]
    pub fn accepts(self, form: BodyForm) -> bool {
        self.accepts & form.bit() != 0
    }

    /// The age limit of messages, if there is one.
    #[must_use]
    pub const fn max_age(self) -> Option<Duration> {
        self.max_age
    }

    /// Whether only authenticated forms are accepted.
    pub(crate) fn is_authenticated_only(self) -> bool {
        !self.accepts(BodyForm::Plain) && !self.accepts(BodyForm::Legacy)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = BodyForm::ALL.into_iter().filter(|form| self.accepts(*form));
        f.debug_struct("Policy")
            .field("sends", &self.sends)
            .field("accepts", &accepted.collect::<Vec<_>>())
            .field("max_age", &self.max_age)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sent_form_must_be_accepted() {
        let refused = InvalidPolicy::SendsWhatIsNotAccepted(BodyForm::V2);
        assert_eq!(Policy::new(BodyForm::V2, [BodyForm::Bridge]), Err(refused));
        assert_eq!(Policy::new(BodyForm::V2, [BodyForm::V2]), Ok(Policy::v2()));
    }

    #[test]
    fn each_migration_step_reads_the_forms_of_its_neighbours() {
        let steps = [
            Policy::legacy(),
            Policy::bridge_from_legacy(),
            Policy::bridge(),
            Policy::new(BodyForm::V2, [BodyForm::Bridge, BodyForm::V2]).unwrap(),
            Policy::v2(),
        ];
        for pair in steps.windows(2) {
            assert!(pair[0].accepts(pair[1].sends()), "{pair:?}");
            assert!(pair[1].accepts(pair[0].sends()), "{pair:?}");
        }
    }

    #[test]
    fn forms_are_named_in_configurations() {
        for form in BodyForm::ALL {
            assert_eq!(form.as_str().parse(), Ok(form));
        }
        assert_eq!("V2".parse::<BodyForm>(), Err(InvalidPolicy::UnknownForm));
    }
}
