//! The seeds of the fuzz targets that come from tables of tests.

use std::path::Path;
use std::{env, fs};

/// Larger ones stay in the tables only: they would make a fuzzer slow.
const LARGEST: usize = 4096;

/// Checks that the rows of a table, each with a name, are committed as seeds of the fuzz target.
/// Writes them if the environment contains `IVY_WRITE_SEEDS=1`.
pub fn check_seeds(target: &str, rows: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let write = env::var_os("IVY_WRITE_SEEDS").is_some();
    if write {
        fs::create_dir_all(&folder).expect("the directory of seeds can be created");
    }
    for (name, bytes) in rows.into_iter().filter(|(_, bytes)| bytes.len() <= LARGEST) {
        let path = folder.join(name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        if write {
            fs::write(&path, bytes).expect("a seed can be written");
        } else {
            let seed = fs::read(&path).unwrap_or_default();
            let path = path.display();
            assert!(seed == bytes, "{path}: not as in the table; IVY_WRITE_SEEDS=1 rewrites it");
        }
    }
}
