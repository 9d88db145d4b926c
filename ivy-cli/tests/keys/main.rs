//! `ivy keys`: keyset files, from the first key to the end of a rotation.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use ivy_proto::QueueName;
use ivy_proto::wire::crypto::{Binding, Entropy, KeyId, KeyStatus, Keyset, ivy2};

/// A folder that is removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ivy-keys-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("keys.json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(command: &str, file: &Path, options: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ivy"))
        .args(["keys", command])
        .arg(file)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn run(command: &str, file: &Path, options: &[&str], input: &str) -> Output {
    let mut child = start(command, file, options);
    // A command that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The output of a command that succeeds.
fn succeed(command: &str, file: &Path, options: &[&str], input: &str) -> String {
    let output = run(command, file, options, input);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The error of a command that fails.
fn fail(command: &str, file: &Path, options: &[&str], input: &str) -> String {
    let output = run(command, file, options, input);
    assert_eq!(output.status.code(), Some(1), "{command}");
    String::from_utf8(output.stderr).unwrap()
}

fn keyset(file: &Path) -> Keyset {
    Keyset::parse(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn id(text: &str) -> KeyId {
    KeyId::new(text).unwrap()
}

fn statuses(file: &Path) -> Vec<(String, KeyStatus)> {
    keyset(file).keys().map(|(id, status)| (id.to_string(), status)).collect()
}

const FAST: [&str; 6] = ["--memory", "64", "--passes", "1", "--lanes", "1"];

#[test]
fn a_command_succeeds_even_if_its_output_is_closed() {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ivy"));
    let output = command.args(["keys", "new"]).arg(folder.file()).stdout(writer).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.file().exists());
}

#[test]
fn a_complete_rotation() {
    let folder = Folder::new();
    let file = folder.file();
    let queue = QueueName::new("mail").unwrap();
    let binding = Binding::task(&queue);
    succeed("new", &file, &["--kid", "2025"], "");
    let frame = ivy2::seal(&keyset(&file), Entropy::new([1; 16]), &binding, "Hello");
    let opens = || ivy2::open(&keyset(&file), &binding, &frame).is_ok();
    let first = ("2025".to_owned(), KeyStatus::Enabled);
    assert_eq!(statuses(&file), std::slice::from_ref(&first));
    succeed("add", &file, &["--kid", "2026"], "");
    assert_eq!(statuses(&file), [first, ("2026".to_owned(), KeyStatus::DecryptOnly)]);
    assert_eq!(keyset(&file).primary(), &id("2025"));
    succeed("rotate", &file, &[], "");
    assert_eq!(keyset(&file).primary(), &id("2026"));
    assert!(opens(), "a message in flight still opens");
    assert!(fail("remove", &file, &["2025"], "").contains("must be disabled"));
    succeed("disable", &file, &["2025"], "");
    assert!(!opens());
    succeed("remove", &file, &["2025"], "");
    assert_eq!(statuses(&file), [("2026".to_owned(), KeyStatus::Enabled)]);
}

#[cfg(unix)]
#[test]
fn a_keyset_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let file = folder.file();
    let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    succeed("new", &file, &[], "");
    assert_eq!(mode(), 0o600);
    succeed("add", &file, &[], "");
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(fail("list", &file, &[], "").contains("change it to 600"));
}

#[cfg(unix)]
#[test]
fn a_changed_keyset_file_keeps_its_readers() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    let folder = Folder::new();
    let (file, link) = (folder.file(), folder.0.join("link.json"));
    succeed("new", &file, &[], "");
    symlink("keys.json", &link).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    // Only root may change the owner; for others, owner and group stay the same.
    let _ = chown(&file, Some(12345), Some(54321));
    let access = || {
        let metadata = std::fs::metadata(&file).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o777)
    };
    let before = access();
    succeed("add", &link, &[], "");
    assert_eq!(access(), before);
    assert!(link.is_symlink());
    assert_eq!(statuses(&file).len(), 2, "the link's file was changed");
}

#[test]
fn the_error_after_an_interrupted_change_names_the_file_to_remove() {
    let folder = Folder::new();
    let file = folder.file();
    succeed("new", &file, &[], "");
    std::fs::write(folder.0.join("keys.json.new"), "").unwrap();
    let error = fail("add", &file, &[], "");
    assert!(error.contains("keys.json.new") && error.contains("remove that file"), "{error}");
}

#[test]
fn a_change_waits_for_another_one() {
    let folder = Folder::new();
    let file = folder.file();
    succeed("new", &file, &[], "");
    let other = folder.0.join("keys.json.new");
    std::fs::write(&other, "").unwrap();
    let waits = start("add", &file, &[]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    std::fs::remove_file(&other).unwrap();
    let output = waits.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(statuses(&file).len(), 2);
}

#[test]
fn no_concurrent_change_is_lost() {
    let folder = Folder::new();
    let file = folder.file();
    succeed("new", &file, &[], "");
    let (mut added, mut refused) = (1, 0);
    for _ in 0..4 {
        let children: Vec<_> = (0..8).map(|_| start("add", &file, &[])).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() || error.contains("in the way"), "{error}");
            added += usize::from(output.status.success());
            refused += usize::from(!output.status.success());
        }
    }
    assert_eq!(added + refused, 33);
    assert_eq!(statuses(&file).len(), added);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "no other file remains");
}

#[test]
fn each_error_names_the_file_and_a_folder_is_reported_as_one() {
    let folder = Folder::new();
    let file = folder.file();
    succeed("new", &file, &["--kid", "k1"], "");
    let named = format!("ivy: {}: ", file.display());
    for (command, options, output) in [
        ("new", &[][..], "exists"),
        ("add", &["--kid", "k1"], "two keys k1"),
        ("rotate", &[], "no other key"),
        ("rotate", &["--to", "k9"], "no key k9"),
        ("disable", &["k1"], "the primary one"),
        ("remove", &["k1"], "the primary one"),
        ("derive", &[], "the password is empty"),
        ("derive", &["--kid", "k1", "--check"], "was not derived"),
    ] {
        let error = fail(command, &file, options, "");
        assert!(error.starts_with(&named) && error.contains(output), "{command}: {error}");
    }
    for command in ["list", "add", "rotate"] {
        let error = fail(command, &folder.0, &[], "");
        let expected = format!("ivy: {}: it is a folder", folder.0.display());
        assert!(error.starts_with(&expected), "{command}: {error}");
    }
}

#[test]
fn secrets_are_shown_only_on_request() {
    use base64::Engine;

    let folder = Folder::new();
    let file = folder.file();
    let mut output = succeed("new", &file, &[], "");
    output += &succeed("add", &file, &[], "");
    output += &succeed("rotate", &file, &[], "");
    output += &succeed("list", &file, &[], "");
    let keyset = keyset(&file);
    for (id, _) in keyset.keys() {
        let secret = keyset.secret(id).unwrap().expose();
        let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
        assert!(!output.contains(&base64));
        assert!(succeed("list", &file, &["--show-secrets"], "").contains(&base64));
    }
    let first = keyset.keys().next().unwrap().0;
    assert!(output.contains(&format!("{:16} decrypt_only", first.as_str())), "{output}");
    assert!(output.contains("primary"), "{output}");
}

#[test]
fn no_two_new_keys_are_alike() {
    let folder = Folder::new();
    let file = folder.file();
    succeed("new", &file, &[], "");
    succeed("add", &file, &[], "");
    let keyset = keyset(&file);
    let keys: Vec<_> = keyset.keys().map(|(id, _)| id.clone()).collect();
    let [first, second] = keys.as_slice() else { panic!("{keys:?}") };
    let secret = |id| keyset.secret(id).unwrap().expose().to_owned();
    assert_ne!(secret(first), secret(second));
}

#[test]
fn new_keys_of_different_files_have_different_ids() {
    let mut ids = BTreeSet::new();
    for _ in 0..10 {
        let folder = Folder::new();
        let file = folder.file();
        succeed("new", &file, &[], "");
        succeed("add", &file, &[], "");
        succeed("derive", &file, &FAST, "correct horse\n");
        ids.extend(statuses(&file).into_iter().map(|(id, _)| id));
    }
    assert_eq!(ids.len(), 30, "{ids:?}");
}

#[test]
fn existing_keys_keep_their_ids() {
    let folder = Folder::new();
    let file = folder.file();
    succeed("new", &file, &["--kid", "k1"], "");
    succeed("add", &file, &[], "");
    succeed("rotate", &file, &[], "");
    let statuses = statuses(&file);
    assert_eq!(statuses[0], ("k1".to_owned(), KeyStatus::DecryptOnly));
    assert_eq!(keyset(&file).primary().as_str(), statuses[1].0);
}

#[test]
fn an_existing_file_is_not_overwritten_and_an_invalid_one_not_changed() {
    let folder = Folder::new();
    let file = folder.file();
    succeed("new", &file, &["--kid", "k1"], "");
    let before = std::fs::read_to_string(&file).unwrap();
    fail("new", &file, &[], "");
    fail("add", &file, &["--kid", "k1"], "");
    fail("disable", &file, &["k1"], "");
    fail("rotate", &file, &[], "");
    fail("rotate", &file, &["--to", "k9"], "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    let missing = folder.0.join("missing.json");
    assert!(fail("add", &missing, &[], "").contains("missing.json"));
}

#[test]
fn a_key_derived_from_a_password_can_be_checked_and_is_not_printed() {
    let folder = Folder::new();
    let file = folder.file();
    let named = |name| [&["--kid", name][..], &FAST].concat();
    let output = succeed("derive", &file, &named("k1"), "correct horse\n");
    assert!(!output.contains("horse"));
    assert!(!std::fs::read_to_string(&file).unwrap().contains("horse"));
    succeed("derive", &file, &["--kid", "k1", "--check"], "correct horse\r\n");
    let error = fail("derive", &file, &["--kid", "k1", "--check"], "battery staple\n");
    assert!(error.contains("another password") && !error.contains("staple"), "{error}");
    succeed("derive", &file, &named("k2"), "correct horse\n");
    let keyset = keyset(&file);
    let secret = |text| keyset.secret(&id(text)).unwrap().expose().to_owned();
    assert_ne!(secret("k1"), secret("k2"), "each key has its own salt");
    assert!(fail("derive", &file, &FAST, " \n").contains("empty"));
}
