//! Shared helpers of the tests: servers on free ports, peers in other languages.
