//! This adapter's side of the tests shared by all adapters.

pub(crate) use ivy_blocking::*;

/// The method has already blocked.
pub(crate) fn wait<T>(done: T) -> T {
    done
}

/// A handler in this adapter's form, with clones of the values it captures.
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
