//! ivy for programs on tokio.
