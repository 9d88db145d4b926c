//! The pages of the exporter.

use std::sync::{Arc, Mutex, PoisonError};

use ivy_driver::internal::Pages;
use ivy_proto::health::http::{Page, Response, Status};
use ivy_proto::metrics::QueueGauges;

use crate::exit::Failure;

/// What was found when the queues were looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) gauges: QueueGauges,
    /// Why something is unknown.
    pub(super) failure: Option<Failure>,
}

/// What was found last. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastLook(Arc<Mutex<Look>>);

impl LastLook {
    pub(super) fn set(&self, look: Look) {
        // No code that can panic runs while the lock is held.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = look;
    }

    fn get(&self) -> Look {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Pages for LastLook {
    async fn page(&self, page: Page) -> Response {
        let Look { gauges, failure } = self.get();
        match (page, failure) {
            (Page::Live, _) => Response::text(Status::Ok, "ok\n".to_owned()),
            (Page::Ready, None) => Response::text(Status::Ok, "ready\n".to_owned()),
            (Page::Ready, Some(failure)) => {
                Response::text(Status::ServiceUnavailable, format!("{failure}\n"))
            }
            (Page::Metrics, _) => {
                let mut text = String::new();
                // Writing to a `String` does not fail.
                let _ = gauges.write_openmetrics(&mut text);
                Response::metrics(text)
            }
        }
    }
}
