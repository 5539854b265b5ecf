//! Every secret that the tests hand out is looked for in everything that the program puts out: what
//! it prints and answers, what it leaves in its folder, what it sends to the stand-ins.
//!
//! Nobody has to think of it: a secret is whatever a configuration takes from the environment or from
//! a file, and the token of the embedded default. It is known here before the program sees it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What is shorter is found anywhere, and is refused as a secret wherever it matters.
const FEWEST: usize = 10;

static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn known() -> MutexGuard<'static, BTreeSet<String>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on this may be nowhere, however it is written.
pub(crate) fn handed_out(secret: &str) {
    let secret = secret.trim();
    // Of a key that has lines, each that is not the same for every key.
    let lines = secret.lines().filter(|line| !line.starts_with("-----"));
    let mut forms: Vec<String> = lines.map(str::to_owned).collect();
    forms.extend(secret.strip_prefix("whsec_").map(str::to_owned));
    forms.push(STANDARD.encode(secret));
    forms.push(form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    known().extend(forms.into_iter().filter(|form| form.len() >= FEWEST));
}

/// The secrets of a configuration, by where it says that they are.
pub(crate) fn of_configuration(config: &str, folder: &Path, env: &[(String, String)]) {
    for (place, name) in named(config) {
        match place {
            "env" => {
                let values = env.iter().filter(|(known, _)| known == name);
                values.for_each(|(_, value)| handed_out(value));
            }
            _ => drop(fs::read_to_string(folder.join(name)).map(|text| handed_out(&text))),
        }
    }
}

/// Where it keeps secrets beside itself.
pub(crate) fn files_of(config: &str) -> Vec<String> {
    let files = named(config).into_iter().filter(|(place, _)| *place == "file");
    files.map(|(_, name)| name.to_owned()).collect()
}

/// Each `{ env = "NAME" }` and `{ file = "path" }`.
fn named(config: &str) -> Vec<(&str, &str)> {
    let tables = config.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    tables
        .filter_map(|(inside, _)| {
            let (place, name) = inside.split_once('=')?;
            let place = place.trim();
            let name = name.trim().strip_prefix('"')?.strip_suffix('"')?;
            ["env", "file"].contains(&place).then_some((place, name))
        })
        .collect()
}

/// The first that is in there.
pub(crate) fn found_in(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    known().iter().find(|secret| text.contains(secret.as_str())).cloned()
}

/// Fails where a secret is in what was put out there. A test that has failed already says why.
#[track_caller]
pub(crate) fn none_in(place: &str, text: impl AsRef<[u8]>) {
    if std::thread::panicking() {
        return;
    }
    if let Some(secret) = found_in(text.as_ref()) {
        let text = String::from_utf8_lossy(text.as_ref()).into_owned();
        let at = text.find(&secret).unwrap_or_default();
        let around: String = text[..at].chars().rev().take(80).collect();
        let around: String = around.chars().rev().collect();
        panic!("a secret is in {place}: {secret}, behind {around:?}");
    }
}

/// The same in every file below, but for those that hold secrets by their nature.
#[track_caller]
pub(crate) fn none_below(folder: &Path, spared: &dyn Fn(&Path) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if spared(&path) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            none_below(&path, spared);
        } else if path.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            // A pipe by which a test holds a deploy would be waited for.
            none_in(&path.display().to_string(), bytes);
        }
    }
}

/// What may hold them in a state directory: the owner's own token, and what runs wrote, kept as they
/// wrote it, for the owner alone.
pub(crate) fn is_for_the_owner(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["token", "runs"].contains(&name)
}

#[test]
fn a_secret_is_found_in_whatever_form_and_place() {
    let folder = tempfile::TempDir::new().unwrap();
    fs::write(folder.path().join("key.pem"), "-----BEGIN X-----\nline-of-a-key-1\n").unwrap();
    let config =
        "token = { env = \"T\" }\nkey = { file = \"key.pem\" }\nenvironment = { a = \"b\" }";
    let env = [("T", "looked-for-+/="), ("OTHER", "nobody-looks-for-it")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    of_configuration(config, folder.path(), &env);
    for form in
        ["looked-for-+/=", "bG9va2VkLWZvci0rLz0=", "looked-for-%2B%2F%3D", "line-of-a-key-1"]
    {
        let text = format!("before {form} behind");
        assert_eq!(found_in(text.as_bytes()).as_deref(), Some(form));
        let failed = std::panic::catch_unwind(|| none_in("a place", text));
        assert!(failed.is_err(), "{form}");
    }
    assert_eq!(found_in(b"nobody-looks-for-it, -----BEGIN X-----"), None);
    let failed = std::panic::catch_unwind(|| none_below(folder.path(), &|_| false));
    assert!(failed.is_err(), "the file was not read");
    none_below(folder.path(), &|path| path.ends_with("key.pem"));
}
