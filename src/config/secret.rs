//! Secrets: from the environment, from a file or from systemd's credentials, and never from the
//! configuration file, which is kept where many can read it.

use std::fmt;
use std::fs;
use std::path::Path;

use super::file::{SecretFrom, SecretTable};
use super::problem::excerpt;

/// A secret. It is not printed; whoever needs it says so.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is wrong and what would be right.
pub(super) type Wrong = (String, String);

pub(super) fn resolve(
    from: &SecretFrom,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Secret, Wrong> {
    let SecretFrom::Elsewhere(table) = from else {
        let what = "a secret must not stand in this file, which is copied, reviewed and backed up";
        let mend = "write `{ env = \"NAME\" }` or `{ file = \"path\" }`, and change the secret";
        return Err((what.into(), mend.into()));
    };
    let text = match table {
        SecretTable { env: Some(name), file: None, credential: None } => from_env(name, env)?,
        SecretTable { env: None, file: Some(path), credential: None } => {
            from_file(&base.join(path))?
        }
        SecretTable { env: None, file: None, credential: Some(name) } => {
            from_credential(name, env)?
        }
        SecretTable { .. } => {
            let what = "a secret comes from exactly one place";
            return Err((what.into(), "give one of `env`, `file` and `credential`".into()));
        }
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        let mend = "put the secret there";
        return Err(("the secret is empty".into(), mend.into()));
    }
    Ok(Secret::new(text))
}

fn from_env(name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    env(name).ok_or_else(|| {
        let what = format!("the environment variable `{}` is not set", excerpt(name));
        (what, "set it where the program is started".into())
    })
}

fn from_file(path: &Path) -> Result<String, Wrong> {
    fs::read_to_string(path).map_err(|why| {
        let what = format!("I cannot read the secret in {}: {why}", path.display());
        (what, "relative paths begin at this file; the program's user must be able to read".into())
    })
}

fn from_credential(name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    let Some(directory) = env("CREDENTIALS_DIRECTORY") else {
        let what = "systemd has passed no credentials to this program".to_owned();
        return Err((what, format!("add `LoadCredential={name}:…` to its unit")));
    };
    if name.contains('/') || name.starts_with('.') {
        let what = format!("`{}` is not the name of a credential", excerpt(name));
        return Err((what, "write the name that the unit gives it".into()));
    }
    from_file(&Path::new(&directory).join(name))
}
