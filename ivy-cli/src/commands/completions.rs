//! `ivy completions`: completions for shells.

use clap_complete::Shell;

use crate::exit::{Exit, Failure};
use crate::output;

/// Print the completions for a shell
///
/// For bash: ivy completions bash > ~/.local/share/bash-completion/completions/ivy
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    shell: Shell,
}

pub(crate) fn run(options: &Options, mut program: clap::Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut program, "ivy", &mut script);
    output::write(&script)?;
    Ok(Exit::Done)
}
