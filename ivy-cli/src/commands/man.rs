//! `ivy man`: the manual.

use std::io;

use clap_mangen::Man;

use crate::exit::{Exit, Failure};
use crate::output;

/// Print the manual page of the program, or of a command
///
/// To read it: ivy man | man -l -
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The command, such as: dead requeue
    command: Vec<String>,
}

pub(crate) fn run(options: &Options, mut program: clap::Command) -> Result<Exit, Failure> {
    // Completes the names of the commands below it.
    program.build();
    let mut command = &program;
    for name in &options.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            Failure::usage(format!("there is no command {name}; see `ivy --help`"))
        })?;
    }
    let name = [&["ivy".to_owned()][..], &options.command].concat().join("-");
    let page =
        page(command.clone(), &name).map_err(|error| Failure::local("cannot write", error))?;
    output::write(&page)?;
    Ok(Exit::Done)
}

fn page(command: clap::Command, name: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let version = concat!("ivy ", env!("CARGO_PKG_VERSION"));
    Man::new(command).title(name).source(version).render(&mut page)?;
    Ok(page)
}
