//! Input that is read line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::exit::Failure;

/// The longest line, in bytes: several times the largest message.
const LONGEST: u64 = 4 << 20;
/// How many lines are read ahead.
const AHEAD: usize = 200;

/// A line that is not empty, and its number, from 1.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
}

/// Reads the lines of a file, or of standard input if the path is `-`, on a thread of its own:
/// the caller can wait for Ctrl-C meanwhile, also until a pipe has a writer, before which it cannot
/// be opened.
pub(super) async fn read(path: &Path) -> Result<mpsc::Receiver<io::Result<Line>>, Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let file = path.to_owned();
    let (opened, is_open) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(AHEAD);
    let reading = move || match open(&file) {
        Ok(source) => {
            if opened.send(Ok(())).is_ok() {
                send_lines(BufReader::new(source), &sender);
            }
        }
        // A caller that was interrupted has no use for it.
        Err(error) => drop(opened.send(Err(error))),
    };
    thread::Builder::new().name("ivy-lines".to_owned()).spawn(reading).map_err(unreadable)?;
    is_open.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(unreadable)?;
    Ok(receiver)
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(path)?))
}

/// Sends the lines until one cannot be read, or the receiver is dropped.
fn send_lines(mut source: impl BufRead, sender: &mpsc::Sender<io::Result<Line>>) {
    for number in 1.. {
        let line = match next(&mut source) {
            Ok(None) => return,
            Ok(Some(text)) if text.trim().is_empty() => continue,
            Ok(Some(text)) => Ok(Line { number, text }),
            Err(error) => Err(io::Error::new(error.kind(), format!("line {number}: {error}"))),
        };
        let is_last = line.is_err();
        if sender.blocking_send(line).is_err() || is_last {
            return;
        }
    }
}

/// The next line; `None` at the end.
fn next(source: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    source.take(LONGEST + 1).read_until(b'\n', &mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        let text = format!("it is longer than {LONGEST} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_until_the_end() {
        let mut source = io::Cursor::new("one\n\nthree");
        assert_eq!(next(&mut source).unwrap().as_deref(), Some("one\n"));
        assert_eq!(next(&mut source).unwrap().as_deref(), Some("\n"));
        assert_eq!(next(&mut source).unwrap().as_deref(), Some("three"));
        assert_eq!(next(&mut source).unwrap(), None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_pipe_without_a_writer_does_not_block_the_caller() {
        let path = std::env::temp_dir().join(format!("ivy-lines-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        tokio::select! {
            biased;
            read = read(&path) => panic!("{read:?}"),
            () = std::future::ready(()) => {}
        }
        // The thread that opens it ends.
        File::options().write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_endless_line_and_one_that_is_not_text_are_refused() {
        let mut endless = BufReader::new(io::repeat(b'x'));
        assert!(next(&mut endless).unwrap_err().to_string().contains("longer than"));
        let mut bytes = io::Cursor::new(b"\xff\n");
        assert!(next(&mut bytes).unwrap_err().to_string().contains("UTF-8"));
    }
}
