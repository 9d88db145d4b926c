//! Limits the interim responses before a response.

use std::io;

/// The maximum number of interim responses (status 100 to 199) before the response to a request.
const MAX_INFORMATIONAL: u32 = 10;
/// The position of the first digit of the status in `HTTP/1.1 200 OK`.
const STATUS: usize = 9;

/// Counts the interim responses in the bytes of a response as they arrive. HTTP clients skip them,
/// and a server that sends them without end would keep a client busy until the time limit of its
/// request.
#[derive(Debug, Default)]
pub(super) struct InformationalResponses {
    seen: u32,
    /// How many bytes of a head have arrived.
    position: usize,
    /// How many bytes of a line have arrived, without its line break.
    in_line: usize,
    is_informational: bool,
    /// Whether the final response has begun, in which nothing is counted.
    is_over: bool,
}

impl InformationalResponses {
    /// Begins a new request: the next bytes are the response to it.
    pub(super) fn begin(&mut self) {
        *self = InformationalResponses::default();
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// If there are too many interim responses. Close the connection then.
    pub(super) fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            if self.is_over {
                return Ok(());
            }
            if self.position == STATUS {
                self.is_informational = *byte == b'1';
                self.is_over = !self.is_informational;
            }
            self.position += 1;
            match byte {
                b'\n' if self.in_line == 0 && self.is_informational => self.ended()?,
                b'\n' => self.in_line = 0,
                b'\r' => {}
                _ => self.in_line += 1,
            }
        }
        Ok(())
    }

    /// Counts an interim response whose head has ended.
    fn ended(&mut self) -> io::Result<()> {
        let seen = self.seen + 1;
        if seen > MAX_INFORMATIONAL {
            let error = format!("it sent more than {MAX_INFORMATIONAL} interim responses");
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        *self = InformationalResponses { seen, ..InformationalResponses::default() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    /// Reads a text in pieces of this length.
    fn read(text: &str, length: usize) -> io::Result<()> {
        let mut responses = InformationalResponses::default();
        text.as_bytes().chunks(length).try_for_each(|piece| responses.read(piece))
    }

    #[test]
    fn ten_interim_responses_may_precede_a_response() {
        for length in [1, 7, 10_000] {
            for informational in [CONTINUE, HINTS, "HTTP/1.1 102 \n\n"] {
                assert!(read(&(informational.repeat(10) + RESPONSE), length).is_ok());
                assert!(read(&(informational.repeat(11) + RESPONSE), length).is_err());
            }
        }
    }

    #[test]
    fn the_body_of_a_response_is_not_counted() {
        assert!(read(&(RESPONSE.to_owned() + &CONTINUE.repeat(100)), 5).is_ok());
    }

    #[test]
    fn each_request_has_its_own_count() {
        let mut responses = InformationalResponses::default();
        for _ in 0..3 {
            responses.begin();
            responses.read((CONTINUE.repeat(10) + RESPONSE).as_bytes()).unwrap();
        }
    }
}
