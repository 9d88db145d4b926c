//! The pages of a worker.

use std::sync::Arc;

use ivy_proto::health::http::{Page, Response};

use super::listener::Pages;
use super::reader::HealthReader;
use crate::metrics::Meters;
use crate::runtime::Runtime;

/// The pages of a worker.
#[derive(Debug)]
pub(crate) struct WorkerPages<R> {
    pub(crate) health: Arc<HealthReader<R>>,
    pub(crate) meters: Meters,
}

impl<R: Runtime> Pages for WorkerPages<R> {
    async fn page(&self, page: Page) -> Response {
        match page {
            Page::Live => self.health.read().await.livez(),
            Page::Ready => self.health.read().await.readyz(),
            Page::Metrics => Response::openmetrics(&self.meters.read::<R>().await),
        }
    }
}
