//! Reads a request from the bytes of a connection.

use super::response::Status;

/// The longest request, in bytes, with all its headers. That of Prometheus has about 500.
pub const MAX_REQUEST: usize = 1024;

/// A request that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The page.
    pub page: Page,
}

/// A method that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`: the response has no body.
    Head,
}

/// A page of a health listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Whether the program must be restarted.
    Live,
    /// Whether it takes work.
    Ready,
    /// What it has counted, in the format of OpenMetrics.
    Metrics,
}

/// Why a request is not answered with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not an HTTP/1 request.
    #[error("this is not an HTTP/1.1 request")]
    NotHttp,
    /// There is no such page.
    #[error("there is no such page; there are /livez, /readyz and /metrics")]
    UnknownPath,
    /// The method is not answered.
    #[error("only GET and HEAD are answered")]
    Method,
    /// The request is longer than [`MAX_REQUEST`].
    #[error("the request is longer than 1024 bytes")]
    TooLarge,
    /// The request is of another major version.
    #[error("only HTTP/1.1 is answered")]
    Version,
}

impl Page {
    /// All pages.
    pub const ALL: [Page; 3] = [Page::Live, Page::Ready, Page::Metrics];

    /// Its path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Page::Live => "/livez",
            Page::Ready => "/readyz",
            Page::Metrics => "/metrics",
        }
    }
}

impl Refusal {
    /// The status of the response.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Refusal::NotHttp => Status::BadRequest,
            Refusal::UnknownPath => Status::NotFound,
            Refusal::Method => Status::MethodNotAllowed,
            Refusal::TooLarge => Status::RequestHeaderFieldsTooLarge,
            Refusal::Version => Status::VersionNotSupported,
        }
    }
}

/// Reads one request. What follows it, such as a body or another request, is not read.
#[derive(Debug)]
pub struct RequestReader {
    bytes: [u8; MAX_REQUEST],
    length: usize,
}

impl RequestReader {
    /// A reader that has read nothing.
    #[must_use]
    pub const fn new() -> Self {
        RequestReader { bytes: [0; MAX_REQUEST], length: 0 }
    }

    /// Where the next bytes are to be written. Not empty before the request is complete or refused.
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.length..).unwrap_or_default()
    }

    /// Takes `length` bytes that were written to [`room`](RequestReader::room). Returns the request
    /// once it is complete, or why it is refused as soon as that is certain.
    pub fn read(&mut self, length: usize) -> Option<Result<Request, Refusal>> {
        self.length = self.length.saturating_add(length).min(MAX_REQUEST);
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        let is_full = bytes.len() == MAX_REQUEST;
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return match bytes.iter().all(|byte| is_of_first_line(*byte)) {
                true if is_full => Some(Err(Refusal::TooLarge)),
                true => None,
                false => Some(Err(Refusal::NotHttp)),
            };
        };
        let (line, rest) = bytes.split_at(end);
        let request = match first_line(line.strip_suffix(b"\r").unwrap_or(line)) {
            Ok(request) => request,
            Err(refusal) => return Some(Err(refusal)),
        };
        // The headers say nothing that matters here.
        match has_ended(rest) {
            true => Some(Ok(request)),
            false if is_full => Some(Err(Refusal::TooLarge)),
            false => None,
        }
    }
}

impl Default for RequestReader {
    fn default() -> Self {
        RequestReader::new()
    }
}

fn is_of_first_line(byte: u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\r')
}

/// Whether an empty line follows the end of the first one.
fn has_ended(rest: &[u8]) -> bool {
    let mut lines = rest.split(|byte| *byte == b'\n').skip(1).peekable();
    while let Some(line) = lines.next() {
        // Only a line that is followed by another piece has ended.
        if matches!(line, [] | [b'\r']) && lines.peek().is_some() {
            return true;
        }
    }
    false
}

fn first_line(line: &[u8]) -> Result<Request, Refusal> {
    if !line.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return Err(Refusal::NotHttp);
    }
    let line = str::from_utf8(line).map_err(|_| Refusal::NotHttp)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::NotHttp);
    };
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    match version.strip_prefix("HTTP/").map(str::as_bytes) {
        Some([b'1', b'.', minor]) if is_method && minor.is_ascii_digit() => {}
        Some([major, b'.', minor])
            if is_method && major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::Version);
        }
        _ => return Err(Refusal::NotHttp),
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let page = Page::ALL.into_iter().find(|page| page.path() == path);
    let page = page.ok_or(Refusal::UnknownPath)?;
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Refusal::Method),
    };
    Ok(Request { method, page })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read from bytes that arrive in pieces of this length.
    fn in_pieces(bytes: &[u8], piece: usize) -> Option<Result<Request, Refusal>> {
        let mut reader = RequestReader::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = reader.room();
            assert!(!room.is_empty(), "a full request is complete or refused");
            let length = room.len().min(piece).min(rest.len());
            let (now, later) = rest.split_at(length);
            room[..length].copy_from_slice(now);
            let read = reader.read(length);
            if read.is_some() {
                return read;
            }
            rest = later;
        }
        None
    }

    fn read(text: &str) -> Option<Result<Request, Refusal>> {
        in_pieces(text.as_bytes(), MAX_REQUEST)
    }

    fn refused(text: &str) -> Refusal {
        read(text).expect("it is refused").unwrap_err()
    }

    #[test]
    fn each_page_is_read_from_its_path() {
        for page in Page::ALL {
            for (name, method) in [("GET", Method::Get), ("HEAD", Method::Head)] {
                let expected = Some(Ok(Request { method, page }));
                for end in ["\r\n\r\n", "\n\n", "\r\nHost: a\r\nAccept: */*\r\n\r\n"] {
                    for rest in ["", "?x=y"] {
                        let text = format!("{name} {}{rest} HTTP/1.1{end}", page.path());
                        assert_eq!(read(&text), expected, "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_request_ends_with_an_empty_line() {
        for text in
            ["", "GET", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost: a\r\n", "\r"]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read("GET /livez HTTP/1.1\r\n\r"), None);
    }

    #[test]
    fn older_minor_versions_are_answered_and_other_major_ones_refused() {
        assert!(matches!(read("GET /livez HTTP/1.0\r\n\r\n"), Some(Ok(_))));
        assert_eq!(refused("GET /livez HTTP/2.0\r\n\r\n"), Refusal::Version);
        assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Refusal::Version);
    }

    #[test]
    fn other_methods_and_paths_are_refused() {
        assert_eq!(refused("POST /livez HTTP/1.1\r\n\r\n"), Refusal::Method);
        assert_eq!(refused("DELETE /metrics HTTP/1.1\r\n\r\n"), Refusal::Method);
        for path in ["/", "/livez/", "/LIVEZ", "/livez/../metrics", "//livez", "livez", "*"] {
            assert_eq!(refused(&format!("GET {path} HTTP/1.1\r\n\r\n")), Refusal::UnknownPath);
        }
    }

    #[test]
    fn what_is_not_http_is_refused_before_it_is_complete() {
        for text in [
            "\u{16}\u{3}\u{1}",
            "\0",
            "GET /livez\r\n",
            "GET  /livez HTTP/1.1\r\n",
            "GET /livez HTTP/1.1 \r\n",
            "GET /livez HTTP/1.x\r\n",
            "GET /livez HTTP/11.1\r\n",
            "get /livez HTTP/1.1\r\n",
            " /livez HTTP/1.1\r\n",
            "\r\n",
            "GET /livez\u{e9} HTTP/1.1\r\n",
            "GET\t/livez\tHTTP/1.1\r\n",
        ] {
            assert_eq!(refused(text), Refusal::NotHttp, "{text:?}");
        }
    }

    #[test]
    fn a_request_that_is_too_long_is_refused() {
        assert_eq!(refused(&"x".repeat(MAX_REQUEST + 1)), Refusal::TooLarge);
        let headers = "a: b\r\n".repeat(MAX_REQUEST);
        assert_eq!(refused(&format!("GET /livez HTTP/1.1\r\n{headers}")), Refusal::TooLarge);
        let head = "GET /livez HTTP/1.1\r\nA: ";
        let fits = format!("{head}{}\r\n\r\n", "x".repeat(MAX_REQUEST - head.len() - 4));
        assert_eq!(fits.len(), MAX_REQUEST);
        assert!(matches!(read(&fits), Some(Ok(_))));
    }

    /// Bytes that are close to a request.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::sample::select(vec![
            "GET ", "HEAD ", "POST ", "/livez", "/metrics", "?", " ", "HTTP/1.1", "HTTP/2.0",
            "\r\n", "\n", "\r", "Host: a", "\u{0}", "\u{e9}",
        ]);
        let close = prop::collection::vec(pieces, 0..12).prop_map(|all| all.concat().into_bytes());
        prop_oneof![close, prop::collection::vec(any::<u8>(), 0..2000)]
    }

    proptest! {
        #[test]
        fn bytes_may_arrive_in_any_pieces(bytes in bytes(), piece in 1_usize..50) {
            let at_once = in_pieces(&bytes, MAX_REQUEST);
            let piecewise = in_pieces(&bytes, piece);
            // More bytes may show another reason for a refusal.
            let is_refused = |read: &Option<Result<_, _>>| matches!(read, Some(Err(_)));
            prop_assert!(at_once == piecewise || is_refused(&at_once) && is_refused(&piecewise));
        }
    }
}
