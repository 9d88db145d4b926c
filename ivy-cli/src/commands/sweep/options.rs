//! Options of commands that change messages by a sweep.

use ivy_proto::admin::{Filter, SweepConfig};

use super::filter::FilterOptions;
use crate::commands::CommonOptions;
use crate::exit::Failure;
use crate::output::Confirmation;

/// Which messages are changed, and after which question.
#[derive(Debug, clap::Args)]
pub(crate) struct ChangeOptions {
    /// Look at so many messages at most [default: 10,000, and 1,000 in a queue of tasks]
    #[arg(long, value_name = "COUNT", value_parser = crate::commands::limit)]
    pub(in crate::commands) limit: Option<usize>,

    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    pub(in crate::commands) confirmation: Confirmation,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

impl ChangeOptions {
    /// Whether all messages are meant.
    pub(in crate::commands) fn mean_all(&self) -> Result<bool, Failure> {
        Ok(self.limit.is_none() && self.filter.filter()?.is_empty())
    }

    /// Which messages are meant.
    pub(in crate::commands) fn filter(&self) -> Result<Filter, Failure> {
        self.filter.filter()
    }

    /// Adds the options to a sweep.
    pub(in crate::commands) fn apply(&self, config: SweepConfig) -> Result<SweepConfig, Failure> {
        let config = self.filter.apply(config, self.limit)?;
        Ok(if self.confirmation.dry_run { config.with_plan_only() } else { config })
    }
}
