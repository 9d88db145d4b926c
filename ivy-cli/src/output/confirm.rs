//! Questions before something is destroyed.

use std::io::{self, IsTerminal, Write};

use ivy_proto::text::EscapedInFull;

use crate::exit::{Exit, Failure};

/// The options about questions.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Confirmation")]
pub(crate) struct Confirmation {
    /// Do not ask. Required without a terminal
    #[arg(long)]
    yes: bool,

    /// Show what would be done, and change nothing, also with --yes
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What must be typed to confirm.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer<'a> {
    /// `y`.
    Yes,
    /// This name.
    Name(&'a str),
}

impl Answer<'_> {
    fn is(self, typed: &str) -> bool {
        match self {
            Answer::Yes => matches!(typed.trim(), "y" | "Y" | "yes"),
            Answer::Name(name) => typed.trim() == name.trim(),
        }
    }
}

impl Confirmation {
    /// Asks, and fails unless the answer is the required one.
    ///
    /// The line is read on a thread of its own, so that the caller can wait for Ctrl-C as well.
    pub(crate) async fn ask(&self, question: &str, answer: Answer<'_>) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            let text = "not confirmed, and there is no terminal to ask; give --yes to confirm";
            return Err(Failure::new(Exit::NotConfirmed, text));
        }
        let prompt = match answer {
            Answer::Yes => format!("{question} [y/N] "),
            Answer::Name(name) => format!("{question}\nType {name} to confirm: "),
        };
        let typed = tokio::task::spawn_blocking(move || read_answer(&prompt)).await;
        let typed = typed.map_err(|error| Failure::local("cannot ask", error))?;
        let typed = typed.map_err(|error| Failure::local("cannot ask", error))?;
        if answer.is(&typed) {
            Ok(())
        } else {
            Err(Failure::new(Exit::NotConfirmed, "not confirmed; nothing was changed"))
        }
    }
}

fn read_answer(prompt: &str) -> io::Result<String> {
    let mut out = io::stderr().lock();
    for (number, line) in prompt.split('\n').enumerate() {
        let start = if number == 0 { "" } else { "\n" };
        write!(out, "{start}{}", EscapedInFull(line))?;
    }
    out.flush()?;
    drop(out);
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_required_answer_confirms() {
        for typed in ["y\n", "Y", "yes\n"] {
            assert!(Answer::Yes.is(typed), "{typed}");
        }
        for typed in ["", "\n", "n", "mail", "yy"] {
            assert!(!Answer::Yes.is(typed), "{typed}");
        }
        assert!(Answer::Name("mail").is("mail\n"));
        for typed in ["", "y", "mails", "MAIL"] {
            assert!(!Answer::Name("mail").is(typed), "{typed}");
        }
    }
}
