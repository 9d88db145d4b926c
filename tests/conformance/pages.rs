//! The examples of the project's pages, compiled and run like any other.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../ENCRYPTION.md")]
struct Encryption;
