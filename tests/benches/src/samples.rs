//! The messages that are measured.

use std::fmt::Write;

/// As large as most messages: 84 bytes.
pub(crate) const SMALL: &str =
    r#"{"name":"testpackage.factorial","options":{"retry":true,"maxRetries":10},"args":[5]}"#;

/// About 60 KB of small objects.
pub(crate) fn objects() -> String {
    let mut args = String::new();
    for number in 0..640 {
        let comma = if number == 0 { "" } else { "," };
        write!(
            args,
            r#"{comma}{{"id":{number},"name":"item \"{number}\"","price":{number}.25,"tags":["new","sold"],"stock":null,"open":true}}"#
        )
        .expect("writing into a String cannot fail");
    }
    format!(r#"{{"name":"testpackage.import","options":{{}},"args":[[{args}]]}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_have_their_documented_sizes() {
        assert_eq!(SMALL.len(), 84);
        assert!((55_000..65_000).contains(&objects().len()), "{}", objects().len());
    }
}
