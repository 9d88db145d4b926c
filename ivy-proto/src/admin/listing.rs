//! Lists the names of queues, page by page.

use crate::error::Cause;
use crate::name::QueueName;
use crate::queue::{Fault, FaultKind, QueueOp, QueueReply};

use super::unfitting;

/// The number of names requested per page.
const PAGE: usize = 100;
/// The maximum number of listed names, in case a server sends pages without end.
const MAX_NAMES: usize = 100_000;

/// Lists the names of all queues with a prefix, page by page.
#[derive(Clone, Debug)]
pub struct Listing {
    prefix: String,
    names: Vec<QueueName>,
    complete: bool,
}

impl Listing {
    /// Starts a listing. An empty prefix lists all queues.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Listing { prefix: prefix.to_owned(), names: Vec::new(), complete: false }
    }

    /// The next request; `None` when the listing is complete.
    #[must_use]
    pub fn next_page(&self) -> Option<QueueOp> {
        let (prefix, after) = (self.prefix.clone(), self.names.last().cloned());
        (!self.complete).then_some(QueueOp::ListQueues { prefix, after, count: PAGE })
    }

    /// Adds the names of a reply.
    ///
    /// # Errors
    /// If the reply is to another operation, or there are more than 100,000 names.
    pub fn take(&mut self, reply: QueueReply) -> Result<(), Cause> {
        let QueueReply::Queues(page) = reply else { return Err(unfitting()) };
        let last_page = page.len() < PAGE;
        let known = self.names.len();
        for name in page {
            // A server that ignores the `previous` name would return the first page indefinitely.
            if self.names.last().is_none_or(|last| *last < name) {
                self.names.push(name);
            }
        }
        self.complete = last_page || self.names.len() == known;
        if !self.complete && self.names.len() > MAX_NAMES {
            let detail = format!("more than {MAX_NAMES} queues; use a longer prefix");
            return Err(Fault::new(FaultKind::BadReply).with_detail(detail).into());
        }
        Ok(())
    }

    /// The names so far, in order.
    #[must_use]
    pub fn into_names(self) -> Vec<QueueName> {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Lists the queues of a server with these names. Returns the names and the number of requests.
    fn list(names: &[&str], paged: bool) -> (Vec<String>, usize) {
        let mut listing = Listing::new("");
        let mut requests = 0;
        while let Some(op) = listing.next_page() {
            let QueueOp::ListQueues { after, count, .. } = op else { panic!("{op:?}") };
            let after = after.filter(|_| paged);
            let page = names
                .iter()
                .map(|name| QueueName::new(name).unwrap())
                .filter(|name| after.as_ref().is_none_or(|after| after < name))
                .take(count);
            listing.take(QueueReply::Queues(page.collect())).unwrap();
            requests += 1;
        }
        let names = listing.into_names();
        (names.iter().map(|name| name.as_str().to_owned()).collect(), requests)
    }

    fn many(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("queue{number:04}")).collect()
    }

    #[test]
    fn a_listing_without_end_is_stopped() {
        let mut listing = Listing::new("");
        let mut number = 0;
        let error = loop {
            let page =
                (number..number + PAGE).map(|n| QueueName::new(&format!("q{n:09}")).unwrap());
            number += PAGE;
            if let Err(error) = listing.take(QueueReply::Queues(page.collect())) {
                break error;
            }
        };
        assert_eq!((error.kind(), number), (ErrorKind::Queue, MAX_NAMES + PAGE));
    }

    #[test]
    fn queues_are_listed_page_by_page() {
        for (count, pages) in [(0, 1), (1, 1), (99, 1), (100, 2), (101, 2), (250, 3)] {
            let names = many(count);
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            assert_eq!(list(&known, true), (names, pages), "{count} queues");
        }
    }

    #[test]
    fn a_server_without_paging_is_not_asked_indefinitely() {
        let names = many(100);
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(list(&known, false), (names, 2));
    }
}
