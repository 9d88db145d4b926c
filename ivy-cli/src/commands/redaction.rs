//! Options about what is shown of messages.

use ivy_proto::inspect::{KeyPattern, Redaction};

use super::message::Showing;

/// What is shown of messages.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Contents")]
pub(crate) struct RedactionOptions {
    /// Show the first 2 KiB of the arguments of each task, instead of their number and size
    #[arg(long)]
    show_args: bool,

    /// Show the arguments in full
    #[arg(long)]
    full: bool,

    /// Hide the values of these keys in arguments, such as 'password,user.*'
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    redact: Vec<KeyPattern>,

    /// Hide the texts of errors
    #[arg(long)]
    no_errors: bool,

    /// Show the bodies as they are in the queue
    #[arg(long)]
    raw: bool,
}

impl RedactionOptions {
    /// How messages are shown.
    pub(super) fn showing(&self) -> Showing {
        Showing { redaction: self.redaction(), raw: self.raw }
    }

    fn redaction(&self) -> Redaction {
        let mut redaction = Redaction::new();
        if self.show_args {
            redaction = redaction.show_args();
        }
        if self.full {
            redaction = redaction.show_full_args();
        }
        if self.no_errors {
            redaction = redaction.hide_errors();
        }
        self.redact.iter().fold(redaction, |redaction, keys| redaction.mask(keys.clone()))
    }
}
