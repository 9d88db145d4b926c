//! Options that say which queues a command works on.

use std::convert::Infallible;
use std::path::PathBuf;

use ivy_tokio::crypto::{Encryption, Keyring};
use ivy_tokio::{Ivy, Secret};

use crate::exit::Failure;
use crate::keys;

/// The variable that names the queue.
const QUEUE_VARIABLE: &str = "IVY_QUEUE_URL";

/// Which queues a command works on. What is not given is looked up as by every program that uses
/// ivy.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionOptions {
    /// The queue's server [default: IVY_QUEUE_URL, or IRON_* and iron.json]
    ///
    /// Every user of this host can read a password in it in the list of processes; to avoid that,
    /// set the variable IVY_QUEUE_URL instead.
    #[arg(long, value_name = "URL", value_parser = secret)]
    queue_url: Option<Secret>,

    /// The notifier's server [default: IVY_NOTIFIER_URL, the queue's server, or REDIS_URL]
    #[arg(long, value_name = "URL", value_parser = secret)]
    notifier_url: Option<Secret>,

    /// The notification channel [default: IVY_NOTIFICATION_CHANNEL_NAME, or ivy-notifier]
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,

    /// The file with the keys of sealed messages [default: IVY_KEYSET, and the password in
    /// MESSAGES_ENCRYPTION_KEY]
    #[arg(long, value_name = "FILE")]
    keyset: Option<PathBuf>,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

impl ConnectionOptions {
    /// Opens no connection yet: the first request does.
    pub(crate) fn connect(&self) -> Result<Ivy, Failure> {
        self.refuse_memory()?;
        let mut builder = Ivy::builder();
        if let Some(url) = &self.queue_url {
            builder = builder.queue_url(url.expose());
        }
        if let Some(url) = &self.notifier_url {
            builder = builder.notifier_url(url.expose());
        }
        if let Some(channel) = &self.channel {
            builder = builder.channel(channel);
        }
        if let Some(file) = &self.keyset {
            // Not repeated in the error: it contains keys.
            if file.as_os_str().as_encoded_bytes().trim_ascii_start().starts_with(b"{") {
                return Err(Failure::usage(
                    "--keyset is the path of a keyset file; pass the JSON of a keyset in the variable IVY_KEYSET",
                ));
            }
            let keyset = keys::read(file).map_err(Failure::usage)?;
            builder = builder.encryption(Encryption::new().with_keyring(Keyring::new(keyset)));
        }
        Ok(builder.build()?)
    }

    /// A queue in memory belongs to one process, so a command would show its own empty one.
    fn refuse_memory(&self) -> Result<(), Failure> {
        let from_environment = || std::env::var(QUEUE_VARIABLE).ok().map(Secret::new);
        let url = self.queue_url.clone().or_else(from_environment);
        if url.is_some_and(|url| url.expose().starts_with("memory:")) {
            return Err(Failure::usage(
                "the queue is memory://, which is private to the process that uses it; \
                 use a server, such as `ivy serve` for development",
            ));
        }
        Ok(())
    }
}
