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

#[cfg(test)]
mod tests {
    /// The code of each block of a page that begins with this fence.
    fn blocks<'a>(page: &'a str, fence: &str) -> Vec<&'a str> {
        let blocks = page.split(fence).skip(1);
        blocks.filter_map(|rest| rest.split_once("```")).map(|(code, _)| code).collect()
    }

    /// Asserts that a page shows code of these files of an example, which is compiled there, apart from
    /// its indentation.
    fn assert_shows(page: &str, fence: &str, files: &[&str]) {
        let lines = |code: &str| -> Vec<String> {
            code.lines().map(|line| line.trim().to_owned()).collect()
        };
        let files: Vec<_> = files.iter().map(|file| lines(file)).collect();
        let blocks = blocks(page, fence);
        assert!(!blocks.is_empty(), "the page shows no code");
        for block in blocks {
            let block = lines(block);
            let is_part = |file: &Vec<String>| file.windows(block.len()).any(|part| part == block);
            assert!(files.iter().any(is_part), "in no file of the example: {block:#?}");
        }
    }

    #[test]
    fn the_readme_shows_the_first_program_in_at_most_forty_lines() {
        let readme = include_str!("../../README.md");
        let example = include_str!("../../ivy-tokio/examples/first_program.rs");
        assert_shows(readme, "```rust\n", &[example]);
        assert!(blocks(readme, "```rust\n").iter().all(|program| program.lines().count() <= 40));
    }

    #[test]
    fn the_page_on_testing_shows_tests_that_are_run() {
        let page = include_str!("../../guides/testing.md");
        let tests = [
            include_str!("../../ivy-tokio/tests/testing_guide.rs"),
            include_str!("../../ivy-blocking/tests/testing_guide.rs"),
            include_str!("../../ivy-async-std/tests/testing_guide.rs"),
        ];
        assert_shows(page, "```rust\n", &tests);
    }

    #[test]
    fn the_page_about_threads_shows_the_importer() {
        let page = include_str!("../../guides/threads.md");
        let example = include_str!("../../ivy-blocking/examples/blocking_importer.rs");
        assert_shows(page, "```rust\n", &[example]);
    }

    #[test]
    fn the_page_about_web_applications_shows_the_example() {
        let page = include_str!("../../guides/web-application.md");
        let example = [
            include_str!("../../examples/web-application/src/lib.rs"),
            include_str!("../../examples/web-application/src/bin/invoices-web.rs"),
            include_str!("../../examples/web-application/src/bin/invoices-worker.rs"),
        ];
        assert_shows(page, "```rust\n", &example);
    }

    /// Each adapter's package contains the page that its documentation includes, so there are three.
    #[test]
    fn the_adapters_have_the_same_page() {
        let page = include_str!("../../ivy-tokio/docs/reference.md");
        assert_eq!(page, include_str!("../../ivy-async-std/docs/reference.md"));
        assert_eq!(page, include_str!("../../ivy-blocking/docs/reference.md"));
    }
}
