/// A handler that is a future, with clones of what it captures.
macro_rules! handler {
    (|$($arg:ident: $type:ty),*| $body:expr) => {
        |$($arg: $type),*| async move { $body }
    };
    ([$($kept:ident),*], |$($arg:ident: $type:ty),*| $body:expr) => {{
        $(let $kept = $kept.clone();)*
        move |$($arg: $type),*| {
            $(let $kept = $kept.clone();)*
            async move { $body }
        }
    }};
}
pub(crate) use handler;
