use std::sync::atomic::{AtomicU32, Ordering};

/// A new folder for temporary files, which is deleted when this is dropped.
pub(crate) struct Folder(String);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("ivy-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a temporary folder can be created");
        Folder(path.into_os_string().into_string().expect("the path is a text"))
    }

    pub(crate) fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A server that is being killed may still write to it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
