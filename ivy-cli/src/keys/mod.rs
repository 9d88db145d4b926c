//! `ivy keys`: creates and changes keyset files.

mod derive;
mod file;
mod new_id;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use ivy_proto::wire::crypto::{
    BadKeyset, Derivation, InvalidSecret, KeyId, KeySecret, KeyStatus, Keyset,
};
use zeroize::Zeroizing;

use self::derive::Cost;

/// The length of the secrets created here, in bytes.
const SECRET: usize = 32;

/// Create and change keyset files, which IVY_KEYSET names
///
/// To rotate keys: `add` a key and distribute the file to all programs; `rotate` to it and
/// distribute the file again; once the queue can contain no message of the old key (after its
/// retention time), `disable` the old key, and later `remove` it. Secrets are printed only on
/// request.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a keyset file with one new key
    New {
        /// The file, which must not exist
        file: PathBuf,
        /// The id of the key: 1 to 16 of A-Z, a-z, 0-9, '.', '_', '-'; random by default
        ///
        /// Two keys of different deployments must not share an id: a frame names its key by the id,
        /// and a frame sealed by another key of the same id counts as forged.
        #[arg(long)]
        kid: Option<KeyId>,
    },
    /// Add a new key, which only opens messages until you rotate to it
    Add {
        /// The keyset file
        file: PathBuf,
        /// The id of the key; random by default
        #[arg(long)]
        kid: Option<KeyId>,
    },
    /// Make another key the one that seals; the previous one only opens from now on
    Rotate {
        /// The keyset file
        file: PathBuf,
        /// The key that will seal; by default the one added last
        #[arg(long)]
        to: Option<KeyId>,
    },
    /// Disable a key: it opens no more messages
    Disable {
        /// The keyset file
        file: PathBuf,
        /// The key
        kid: KeyId,
    },
    /// Delete a key permanently
    Remove {
        /// The keyset file
        file: PathBuf,
        /// The key, which must be disabled
        kid: KeyId,
    },
    /// List the keys and their uses
    List {
        /// The keyset file
        file: PathBuf,
        /// Show the secrets as well
        #[arg(long)]
        show_secrets: bool,
    },
    /// Add a key derived from a password by Argon2id; the password is read from standard input
    ///
    /// Prefer random keys: derive one only if a person must remember the key. Never use the
    /// password of MESSAGES_ENCRYPTION_KEY here.
    Derive {
        /// The keyset file; created if it does not exist
        file: PathBuf,
        /// The id of the key; random by default
        #[arg(long)]
        kid: Option<KeyId>,
        /// Only check whether the key was derived from this password
        #[arg(long, requires = "kid")]
        check: bool,
        #[command(flatten)]
        cost: Cost,
    },
}

impl Command {
    fn file(&self) -> &Path {
        match self {
            Command::New { file, .. }
            | Command::Add { file, .. }
            | Command::Rotate { file, .. }
            | Command::Disable { file, .. }
            | Command::Remove { file, .. }
            | Command::List { file, .. }
            | Command::Derive { file, .. } => file,
        }
    }
}

/// The error of a command. Names the file and contains no secret.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub(crate) struct Error {
    file: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    File(io::Error),
    #[error("it already exists; add a key to it with `ivy keys add`, or choose another file")]
    Exists,
    #[error("{}: {error}", file.display())]
    NewFile { file: PathBuf, error: io::Error },
    #[error(
        "{} is in the way: another `ivy keys` is changing the keyset, or one was \
         interrupted; if none is running, remove that file and try again", .0.display()
    )]
    Busy(PathBuf),
    #[error("{0}")]
    Keyset(#[from] BadKeyset),
    #[error("{0}")]
    Secret(#[from] InvalidSecret),
    #[error("key {0} was not derived from a password")]
    NotDerived(KeyId),
    #[error("key {0} was derived from another password")]
    OtherPassword(KeyId),
    #[error("key {0} must be disabled before it is removed, so that a mistake can be undone")]
    StillEnabled(KeyId),
    #[error(
        "there is no other key to rotate to; add one first, and distribute the file to all programs"
    )]
    NothingToRotateTo,
    #[error("the password is empty")]
    NoPassword,
    #[error("these costs are invalid: {0}")]
    Cost(argon2::Error),
    #[error("the system provides no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("{0}")]
    Console(#[from] io::Error),
}

/// Reads a keyset file, which only its owner may read.
pub(crate) fn read(file: &Path) -> Result<Keyset, Error> {
    file::read(file).map_err(|problem| Error { file: file.to_owned(), problem })
}

pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let command = &options.command;
    let file = command.file();
    match execute(command, file) {
        // The command is complete even if its output cannot be printed.
        Err(Problem::Console(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|problem| Error { file: file.to_owned(), problem }),
    }
}

fn execute(command: &Command, file: &Path) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    let message = match command {
        Command::New { kid, .. } => {
            let kid = id_or_new(kid.as_ref())?;
            file::create(file, &Keyset::new(kid.clone(), random_secret()?))?;
            format!("key {kid} seals and opens")
        }
        Command::Add { kid, .. } => {
            let (kid, secret) = (id_or_new(kid.as_ref())?, random_secret()?);
            file::change(file, |keyset| {
                Ok(keyset.add(kid.clone(), KeyStatus::DecryptOnly, secret)?)
            })?;
            format!("key {kid} opens; rotate to it once all programs have it")
        }
        Command::Rotate { to, .. } => file::change(file, |keyset| rotate(keyset, to.as_ref()))?,
        Command::Disable { kid, .. } => {
            file::change(file, |keyset| Ok(keyset.set_status(kid, KeyStatus::Disabled)?))?;
            format!("key {kid} is disabled")
        }
        Command::Remove { kid, .. } => {
            file::change(file, |keyset| remove(keyset, kid))?;
            format!("key {kid} is removed")
        }
        Command::List { show_secrets, .. } => {
            return Ok(list(&mut out, &file::read(file)?, *show_secrets)?);
        }
        Command::Derive { kid: Some(kid), check: true, .. } => {
            check_password(&file::read(file)?, kid)?;
            format!("key {kid} was derived from this password")
        }
        Command::Derive { kid, cost, .. } => {
            let derivation = cost.with_salt(random()?);
            let secret = derive::secret(&read_password()?, &derivation)?;
            let kid = id_or_new(kid.as_ref())?;
            add_derived(file, kid.clone(), secret, derivation)?;
            format!("key {kid} is derived from the password")
        }
    };
    Ok(writeln!(out, "{}: {message}", file.display())?)
}

/// Rotates to a key, and describes the result.
fn rotate(keyset: &mut Keyset, to: Option<&KeyId>) -> Result<String, Problem> {
    let old = keyset.primary().clone();
    let new = to.cloned().or_else(|| last_other(keyset)).ok_or(Problem::NothingToRotateTo)?;
    if new == old {
        return Ok(format!("key {new} already seals and opens"));
    }
    keyset.set_status(&new, KeyStatus::Enabled)?;
    keyset.set_primary(&new)?;
    keyset.set_status(&old, KeyStatus::DecryptOnly)?;
    Ok(format!("key {new} seals and opens, key {old} only opens"))
}

fn remove(keyset: &mut Keyset, kid: &KeyId) -> Result<(), Problem> {
    let is_enabled = |(id, status): (&KeyId, KeyStatus)| {
        id == kid && id != keyset.primary() && status != KeyStatus::Disabled
    };
    if keyset.keys().any(is_enabled) {
        return Err(Problem::StillEnabled(kid.clone()));
    }
    Ok(keyset.remove(kid)?)
}

fn check_password(keyset: &Keyset, kid: &KeyId) -> Result<(), Problem> {
    let derivation = keyset.derivation(kid).ok_or_else(|| Problem::NotDerived(kid.clone()))?;
    let secret = derive::secret(&read_password()?, &derivation)?;
    let is_known = keyset.secret(kid).is_some_and(|known| known.expose() == secret.expose());
    if is_known { Ok(()) } else { Err(Problem::OtherPassword(kid.clone())) }
}

fn add_derived(
    file: &Path,
    kid: KeyId,
    secret: KeySecret,
    derivation: Derivation,
) -> Result<(), Problem> {
    if !file.exists() {
        return file::create(file, &Keyset::new_derived(kid, secret, derivation));
    }
    file::change(file, |keyset| {
        Ok(keyset.add_derived(kid, KeyStatus::DecryptOnly, secret, derivation)?)
    })
}

fn list(out: &mut impl Write, keyset: &Keyset, show_secrets: bool) -> io::Result<()> {
    for (id, status) in keyset.keys() {
        let primary = if id == keyset.primary() { "primary" } else { "" };
        let derived = if keyset.derivation(id).is_some() { "from a password" } else { "" };
        write!(out, "{:16} {:12} {primary:7} {derived:15}", id.as_str(), status.as_str())?;
        if show_secrets && let Some(secret) = keyset.secret(id) {
            write!(out, " {}", *Zeroizing::new(STANDARD.encode(secret.expose())))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The given id, or a new one.
fn id_or_new(kid: Option<&KeyId>) -> Result<KeyId, Problem> {
    kid.cloned().map_or_else(|| Ok(new_id::new_id(random()?)), Ok)
}

/// The key added last among those that may become the primary one.
fn last_other(keyset: &Keyset) -> Option<KeyId> {
    let others = keyset
        .keys()
        .filter(|(id, status)| *id != keyset.primary() && *status != KeyStatus::Disabled);
    others.last().map(|(id, _)| id.clone())
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Problem> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(Problem::Random)?;
    Ok(bytes)
}

fn random_secret() -> Result<KeySecret, Problem> {
    let mut bytes = Zeroizing::new(vec![0; SECRET]);
    getrandom::fill(&mut bytes).map_err(Problem::Random)?;
    Ok(KeySecret::new(bytes)?)
}

/// Reads the first line of standard input. A terminal shows what is typed, so a pipe is better.
fn read_password() -> Result<Zeroizing<String>, Problem> {
    let input = io::stdin();
    if input.is_terminal() {
        eprintln!("Password (it will be visible; use a pipe to hide it):");
    }
    let mut line = Zeroizing::new(String::with_capacity(1024));
    input.read_line(&mut line)?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.trim().is_empty() {
        return Err(Problem::NoPassword);
    }
    Ok(Zeroizing::new(password.to_owned()))
}
