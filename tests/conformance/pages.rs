//! The project's pages: their examples are compiled and run like any other.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../ENCRYPTION.md")]
struct Encryption;

/// Each adapter's package contains the page that its documentation includes, so there are three.
#[test]
fn the_adapters_have_the_same_page() {
    let page = include_str!("../../ivy-tokio/docs/adapters.md");
    assert_eq!(page, include_str!("../../ivy-async-std/docs/adapters.md"));
    assert_eq!(page, include_str!("../../ivy-blocking/docs/adapters.md"));
}
