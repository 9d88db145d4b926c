//! The project's pages: their code is compiled and run like any other.

/// Includes pages whose Rust code stands for itself.
macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!($path)]
            struct $name;
        )*
    };
}

pages! {
    Readme: "../../README.md",
    Encryption: "../../ENCRYPTION.md",
    FirstProgram: "../../guides/first-program.md",
    Handlers: "../../guides/handlers.md",
    Configuration: "../../guides/configuration.md",
    Deploying: "../../guides/deploying.md",
    Observing: "../../guides/observing.md",
    Backends: "../../guides/backends.md",
    FromNode: "../../guides/from-node.md",
}

/// Each adapter's package contains the page that its documentation includes, so there are three.
#[test]
fn the_adapters_have_the_same_page() {
    let page = include_str!("../../ivy-tokio/docs/adapters.md");
    assert_eq!(page, include_str!("../../ivy-async-std/docs/adapters.md"));
    assert_eq!(page, include_str!("../../ivy-blocking/docs/adapters.md"));
}
