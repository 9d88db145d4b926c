//! Answers that say of each entry of a batch what became of it.

use super::fault::{Fault, FaultKind};

/// The entries of an answer to a request about so many.
///
/// # Errors
/// If there are more or fewer: nobody can say then which belongs to what, so it is unknown of each
/// what became of it.
pub(crate) fn entries<T>(
    answered: Vec<Result<T, Fault>>,
    asked: usize,
) -> Result<Vec<Result<T, Fault>>, Fault> {
    if answered.len() == asked {
        return Ok(answered);
    }
    let detail = format!("{} entries for {asked} that were asked for", answered.len());
    Err(Fault::new(FaultKind::BadResponse).with_detail(detail))
}

/// The only entry of an answer to a request about one.
pub(crate) fn only_entry<T>(answered: Vec<Result<T, Fault>>) -> Result<T, Fault> {
    let only = entries(answered, 1)?.pop();
    only.unwrap_or_else(|| Err(Fault::new(FaultKind::BadResponse)))
}

/// These faults, each of those that are alike once: many messages meet the same.
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
    fn of_an_answer_with_another_number_of_entries_nothing_is_known() {
        for answered in [vec![], vec![Ok(()), Ok(())]] {
            assert_eq!(only_entry(answered).map_err(|fault| fault.effect()), Err(Effect::Unknown));
        }
    }
}
