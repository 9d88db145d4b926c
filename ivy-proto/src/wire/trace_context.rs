//! The trace context that travels with a task.

use super::{TraceParent, TraceState};

/// The context of the span that sends a task: its `traceparent`, and the state that tracing systems
/// have added to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceContext {
    /// The trace and the span.
    pub parent: TraceParent,
    /// The state of tracing systems, if any.
    pub state: Option<TraceState>,
}

impl TraceContext {
    /// A context without state.
    #[must_use]
    pub fn new(parent: TraceParent) -> Self {
        TraceContext { parent, state: None }
    }

    /// Adds the state of tracing systems.
    #[must_use]
    pub fn with_state(mut self, state: Option<TraceState>) -> Self {
        self.state = state;
        self
    }
}
