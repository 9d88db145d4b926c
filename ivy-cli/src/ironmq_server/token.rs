//! The source of the accepted token.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

use super::access::{InvalidText, Token};

/// The variable that contains the token.
const VARIABLE: &str = "IVY_SERVE_TOKEN";
/// The default token. It is public.
const DEFAULT: &str = "local-development-token";
/// The maximum size of a token file, in bytes.
const MAX_FILE: u64 = 4096;

/// The options for the token.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenOptions {
    /// The token to accept; others are refused [default: local-development-token]
    ///
    /// Every user of this host can read it in the list of processes; to avoid that, set the
    /// variable IVY_SERVE_TOKEN or use --token-file instead. Both options take precedence over the
    /// variable. If the variable is used, the `export` lines that the server prints refer to it
    /// instead of showing the token, so set it in the other terminal as well.
    #[arg(long, value_name = "TOKEN", value_parser = TokenParser)]
    token: Option<Token>,

    /// A file with the token to accept; one trailing line break is ignored
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
}

/// The token, and how to write it in a shell.
#[derive(Debug)]
pub(crate) struct ResolvedToken {
    pub(crate) token: Token,
    /// The token itself if it is public anyway, else an expression that expands to it.
    pub(crate) in_shell: String,
}

/// The token is invalid. Never shows it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadToken {
    #[error("cannot read the token in {}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("the token in {origin} cannot be used: {error}")]
    Invalid { origin: String, error: InvalidText },
}

impl TokenOptions {
    /// Returns the token: from the options, else from the environment, else the default.
    pub(crate) fn resolve(&self) -> Result<ResolvedToken, BadToken> {
        if let Some(token) = &self.token {
            return Ok(ResolvedToken { token: token.clone(), in_shell: token.as_str().to_owned() });
        }
        if let Some(file) = &self.token_file {
            let text =
                read(file).map_err(|source| BadToken::Unreadable { file: file.clone(), source })?;
            let in_shell = format!("$(cat {})", shell_quoted(file));
            return resolved(&text, file.display().to_string(), in_shell);
        }
        match std::env::var_os(VARIABLE) {
            // Invalid UTF-8 is not a valid token.
            Some(text) => {
                resolved(text.to_str().unwrap_or(""), VARIABLE.to_owned(), format!("${VARIABLE}"))
            }
            None => resolved(DEFAULT, "the default".to_owned(), DEFAULT.to_owned()),
        }
    }
}

fn resolved(text: &str, origin: String, in_shell: String) -> Result<ResolvedToken, BadToken> {
    match text.parse() {
        Ok(token) => Ok(ResolvedToken { token, in_shell }),
        Err(error) => Err(BadToken::Invalid { origin, error }),
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(file)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_FILE {
        return Err(io::Error::other("it is too large for a token"));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Quotes a path as one word of a shell.
fn shell_quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Parses a token without repeating its text in an error.
#[derive(Clone, Copy, Debug)]
struct TokenParser;

impl TypedValueParser for TokenParser {
    type Value = Token;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Token, clap::Error> {
        value.to_str().ok_or(InvalidText).and_then(str::parse).map_err(|error| {
            let text = format!("invalid value for '--token <TOKEN>': {error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, text).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_as_one_word_of_a_shell() {
        assert_eq!(shell_quoted(Path::new("a b")), "'a b'");
        assert_eq!(shell_quoted(Path::new("it's")), r"'it'\''s'");
    }
}
