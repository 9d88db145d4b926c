//! Cases that failed once, recorded as lists of faults so that a change of the code does not
//! change the case. They run with every test run.

use serde::{Deserialize, Serialize};

use crate::fault_injection::PlannedFault;
use crate::laws::Breach;
use crate::run::Case;
use crate::setup::Setup;

/// A case, and its expected outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Regression {
    /// What went wrong.
    pub(crate) about: String,
    /// The planted bug that it shows, if it was one.
    #[serde(default)]
    pub(crate) bug: Option<String>,
    /// The law that was broken.
    pub(crate) law: String,
    pub(crate) setup: Setup,
    pub(crate) faults: Vec<PlannedFault>,
}

impl Regression {
    pub(crate) fn of(case: &Case, breach: &Breach) -> Regression {
        Regression {
            about: breach.what.clone(),
            bug: None,
            law: breach.law.to_owned(),
            setup: case.setup.clone(),
            faults: case.faults.clone().unwrap_or_default(),
        }
    }

    pub(crate) fn case(&self) -> Case {
        let faults = Some(self.faults.clone());
        Case { setup: self.setup.clone(), faults, in_words: false }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("the regression can be serialized") + "\n"
    }
}

/// All of them, by the names of their files.
pub(crate) fn all() -> Vec<(String, Regression)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");
    let files = std::fs::read_dir(folder).expect("the directory exists");
    let mut all: Vec<(String, Regression)> = files
        .map(|file| {
            let path = file.expect("the directory can be read").path();
            let text = std::fs::read_to_string(&path).expect("the file can be read");
            let regression = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), regression)
        })
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

#[test]
fn a_recorded_failure_does_not_fail_again() {
    for (name, regression) in all() {
        let outcome = regression.case().run();
        let about = &regression.about;
        assert_eq!(outcome.breach, None, "{name}, once: {about}");
        assert!(outcome.coverage.executions > 0, "{name}: no handler was run");
        let occurred = outcome.faults.len();
        assert!(
            occurred > 0 || regression.faults.is_empty(),
            "{name}: none of its faults occurred"
        );
    }
}
