//! Peers in other languages: the scripts next to the tests.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::Process;
use crate::tools::{node_modules, project, python_packages};

/// A script and its environment, ready to start.
#[derive(Clone, Debug)]
#[must_use = "a script does nothing until it is started"]
pub struct Script {
    name: String,
    interpreter: &'static str,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
}

/// The Node script `tests/interop-node/NAME`, which finds the installed Node packages.
pub fn node_script(name: &str) -> Script {
    Script::new("node", &format!("interop-node/{name}"), ("NODE_PATH", &node_modules()))
}

/// The Python script `tests/interop-python/NAME`, which finds the installed Python packages.
pub fn python_script(name: &str) -> Script {
    Script::new("python3", &format!("interop-python/{name}"), ("PYTHONPATH", &python_packages()))
        .env("PYTHONDONTWRITEBYTECODE", "1")
}

impl Script {
    fn new(interpreter: &'static str, file: &str, (variable, packages): (&str, &Path)) -> Self {
        let path = project().join("tests").join(file);
        Script { name: file.to_owned(), interpreter, args: vec![path.into()], env: Vec::new() }
            .env(variable, &packages.to_string_lossy())
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl ToString) -> Self {
        self.args.push(arg.to_string().into());
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, variable: &str, value: &str) -> Self {
        self.env.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// Sets several variables of its environment.
    pub fn envs(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(variables);
        self
    }

    /// Starts it.
    #[must_use = "the script is killed when its process is dropped"]
    pub fn start(self) -> Process {
        // The output of other projects' programs is not searched for secrets.
        Process::spawn(&self.name, OsStr::new(self.interpreter), self.args, self.env)
            .permitting(&[""])
    }
}
