//! Replies with one entry per item of a batch.

use super::fault::{Fault, FaultKind};

/// Checks that the reply has one entry for each of `requested` items.
///
/// # Errors
/// If the number differs: the entries cannot be assigned to the items then, so the outcome of each
/// item is unknown.
pub(crate) fn entries<T>(
    replied: Vec<Result<T, Fault>>,
    requested: usize,
) -> Result<Vec<Result<T, Fault>>, Fault> {
    if replied.len() == requested {
        return Ok(replied);
    }
    let detail = format!("{} entries for a request of {requested}", replied.len());
    Err(Fault::new(FaultKind::BadReply).with_detail(detail))
}

/// The only entry of the reply to a request of one item.
pub(crate) fn only_entry<T>(replied: Vec<Result<T, Fault>>) -> Result<T, Fault> {
    let only = entries(replied, 1)?.pop();
    only.unwrap_or_else(|| Err(Fault::new(FaultKind::BadReply)))
}

/// The faults without duplicates, because many messages often fail alike.
pub(crate) fn different(faults: &[Fault]) -> Vec<&Fault> {
    let mut different: Vec<&Fault> = Vec::new();
    for fault in faults {
        if !different.contains(&fault) {
            different.push(fault);
        }
    }
    different
}

#[cfg(test)]
mod tests {
    use super::super::Effect;
    use super::*;

    #[test]
    fn a_reply_with_another_number_of_entries_is_an_unknown_outcome() {
        for replied in [vec![], vec![Ok(()), Ok(())]] {
            assert_eq!(only_entry(replied).map_err(|fault| fault.effect()), Err(Effect::Unknown));
        }
    }
}
