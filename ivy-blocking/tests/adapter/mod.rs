//! How the tests that are written once for all adapters reach this one.

pub(crate) use ivy_blocking::*;

/// What blocks has waited.
pub(crate) fn wait<T>(done: T) -> T {
    done
}

/// A handler as this adapter takes it, with clones of what it uses from outside.
macro_rules! handler {
    (|$($arg:ident: $type:ty),*| $body:expr) => {
        |$($arg: $type),*| $body
    };
    ([$($kept:ident),*], |$($arg:ident: $type:ty),*| $body:expr) => {{
        $(let $kept = $kept.clone();)*
        move |$($arg: $type),*| $body
    }};
}
pub(crate) use handler;
