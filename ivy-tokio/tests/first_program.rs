//! The test of the README's first program.

#[path = "../examples/first_program.rs"]
#[expect(dead_code, reason = "the example runs its `main`")]
mod first_program;
