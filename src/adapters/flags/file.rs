//! Flags in a file, as flagd reads it: JSON, of which we change what is about one flag and not one
//! byte more.
//!
//! A flag of ours has one variant that is `true` and one that is `false`. Its share is the weight
//! of the former in `fractional`. Off is `state` `ENABLED` with all the weight on the other, and not
//! `DISABLED`: then flagd knows nothing of the flag, and each program does what its code says.
//!
//! A new file is written beside the old one and takes its place whole, so that nobody reads half of
//! one, whatever happens in between.

mod members;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;
use serde_json::value::RawValue;

use members::Object;

use super::percentage;
use crate::ports::{Failure, FlagState, Flags};

/// Beyond this many bytes a file is not one of flags.
const MOST: u64 = 16 * 1024 * 1024;
/// What a file begins as.
const EMPTY: &str =
    "{\n  \"$schema\": \"https://flagd.dev/schema/v0/flags.json\",\n  \"flags\": {}\n}\n";
/// Reading, changing and writing is one act, whichever provider of this process does it.
static WRITING: Mutex<()> = Mutex::new(());

pub struct FlagFile {
    path: PathBuf,
}

impl FlagFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Whether it can be read, or can begin to exist; changes nothing.
    pub async fn look(&self) -> Result<(), Failure> {
        self.at_the_file(|path| {
            let found = read(path)?;
            let target = target(path);
            let may_write = nix::unistd::access(folder(&target), nix::unistd::AccessFlags::W_OK);
            may_write.map_err(|why| trouble(&target, &why.into()))?;
            Document::read(path, found.as_deref().unwrap_or(EMPTY)).map(|_| ())
        })
        .await
    }

    async fn at_the_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || work(&path)).await;
        done.unwrap_or_else(|why| Err(Failure::unknown(format!("the change broke off: {why}"))))
    }
}

#[async_trait]
impl Flags for FlagFile {
    async fn set(&self, flag: &str, percent: f64) -> Result<(), Failure> {
        let (flag, percent) = (flag.to_owned(), percentage(percent)?);
        self.at_the_file(move |path| {
            change(path, |document| match document.flag(&flag)? {
                Some(found) => document.with_share(&found, percent),
                None => document.with_new(&flag, percent),
            })
        })
        .await
    }

    async fn kill(&self, flag: &str) -> Result<(), Failure> {
        let flag = flag.to_owned();
        self.at_the_file(move |path| {
            change(path, |document| match document.flag(&flag)? {
                Some(found) => document.without_anybody(&found),
                None => Err(document.no_flag(&flag)),
            })
        })
        .await
    }

    async fn state(&self, flag: &str) -> Result<FlagState, Failure> {
        let flag = flag.to_owned();
        self.at_the_file(move |path| {
            let text = read(path)?;
            let document = Document::read(path, text.as_deref().unwrap_or(EMPTY))?;
            let found = document.flag(&flag)?.ok_or_else(|| document.no_flag(&flag))?;
            Ok(found.state())
        })
        .await
    }
}

// ---------------------------------------------------------------------------------------------
// The file

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where a link leads is where the file is, or will be: the link stays.
fn target(path: &Path) -> PathBuf {
    let ahead = || fs::read_link(path).ok().map(|link| folder(path).join(link));
    fs::canonicalize(path).ok().or_else(ahead).unwrap_or_else(|| path.to_owned())
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    let bytes = match fs::metadata(path) {
        Ok(about) if about.len() > MOST => {
            let path = path.display();
            return Err(Failure::permanent(format!("{path} is too large for a file of flags")));
        }
        Ok(_) => fs::read(path).map_err(|why| trouble(path, &why))?,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(trouble(path, &why)),
    };
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| Failure::permanent(format!("{} is not UTF-8", path.display())))
}

/// Nothing is written where nothing would be different.
fn change(
    path: &Path,
    edit: impl FnOnce(&Document<'_>) -> Result<Vec<Splice>, Failure>,
) -> Result<(), Failure> {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let target = target(path);
    let found = read(&target)?;
    let text = match &found {
        Some(text) => text.as_str(),
        None => EMPTY,
    };
    let document = Document::read(path, text)?;
    let after = spliced(text, edit(&document)?);
    if found.as_ref() == Some(&after) {
        return Ok(());
    }
    replace(&target, &after).map_err(|why| trouble(path, &why))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder(path))?;
    file.write_all(text.as_bytes())?;
    let mode = match fs::metadata(path) {
        Ok(old) => {
            // Whoever read the old one reads the new one, as far as it is ours to say.
            let _ = std::os::unix::fs::fchown(file.as_file(), None, Some(old.gid()));
            let _ = std::os::unix::fs::fchown(file.as_file(), Some(old.uid()), None);
            old.permissions()
        }
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder(path))?.sync_all()
}

fn trouble(path: &Path, why: &io::Error) -> Failure {
    use io::ErrorKind::{
        IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
    };
    let what = format!("the flag file {}: {why}", path.display());
    let (kind, folder) = (why.kind(), folder(path).display());
    if matches!(kind, NotFound | NotADirectory) {
        Failure::permanent(format!("{what}: create the directory {folder}"))
    } else if matches!(kind, PermissionDenied | ReadOnlyFilesystem) {
        Failure::permanent(format!("{what}: this program must read it and write to {folder}"))
    } else if kind == IsADirectory {
        Failure::permanent(what)
    } else {
        // No room, too many open files: it may pass.
        Failure::transient(what)
    }
}

// ---------------------------------------------------------------------------------------------
// What is in it

/// The text of a file, understood as far as our flags go.
struct Document<'t> {
    path: &'t Path,
    text: &'t str,
    root: Object<'t>,
    flags: Option<Object<'t>>,
}

/// What comes in place of a part of the text.
type Splice = (Range<usize>, String);

fn spliced(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|(range, _)| range.start);
    let mut after = text.to_owned();
    for (range, with) in splices.into_iter().rev() {
        after.replace_range(range, &with);
    }
    after
}

impl<'t> Document<'t> {
    fn read(path: &'t Path, text: &'t str) -> Result<Self, Failure> {
        let whole: &RawValue = serde_json::from_str(text).map_err(|why| {
            let (line, column) = (why.line().max(1), why.column().max(1));
            let why = why.to_string();
            let why = why.split(" at line ").next().unwrap_or_default();
            broken(path, (line, column), why)
        })?;
        let root = Self::object(path, text, whole, "the whole")?;
        let flags = root.get("flags").map(|flags| Self::object(path, text, flags, "`flags`"));
        Ok(Self { path, text, flags: flags.transpose()?, root })
    }

    fn object(
        path: &Path,
        text: &'t str,
        raw: &'t RawValue,
        what: &str,
    ) -> Result<Object<'t>, Failure> {
        Object::read(text, raw).map_err(|(at, why)| {
            broken(path, members::position(text, at), &format!("{what} {why}"))
        })
    }

    fn flag(&self, name: &str) -> Result<Option<Flag<'t>>, Failure> {
        let Some(raw) = self.flags.as_ref().and_then(|flags| flags.get(name)) else {
            return Ok(None);
        };
        let object = Self::object(self.path, self.text, raw, &format!("the flag `{name}`"))?;
        Ok(Some(Flag::read(name, object)))
    }

    fn no_flag(&self, name: &str) -> Failure {
        let known = self.flags.as_ref().map(Object::names).unwrap_or_default();
        let known = match known.as_slice() {
            [] => "there is none".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        let path = self.path.display();
        Failure::permanent(format!("{path} has no flag `{name}` ({known}); nothing was changed"))
    }

    fn with_new(&self, name: &str, percent: f64) -> Result<Vec<Splice>, Failure> {
        let Some(flags) = &self.flags else {
            let text = spliced(self.text, vec![self.root.put("flags", |_| "{}".to_owned())]);
            let with_flags = Document::read(self.path, &text)?;
            let after = spliced(&text, with_flags.with_new(name, percent)?);
            return Ok(vec![(0..self.text.len(), after)]);
        };
        let flag = |space: &str| {
            let inner = if space.contains('\n') { format!("{space}  ") } else { space.to_owned() };
            let (default, targeting) =
                (default("on", "off", percent), share("on", "off", percent, None));
            format!(
                "{{{inner}\"state\": \"ENABLED\",{inner}\
                 \"variants\": {{ \"on\": true, \"off\": false }},{inner}\
                 \"defaultVariant\": {default},{inner}\"targeting\": {targeting}{space}}}"
            )
        };
        Ok(vec![flags.put(name, flag)])
    }

    fn with_share(&self, flag: &Flag<'t>, percent: f64) -> Result<Vec<Splice>, Failure> {
        if percent == 0.0 {
            return self.without_anybody(flag);
        }
        if flag.state().percent == Some(percent) {
            return Ok(Vec::new());
        }
        let (on, off) = flag.variants.as_ref().ok_or_else(|| self.not_a_switch(flag))?;
        let bucketing = match &flag.targeting {
            Targeting::Default => None,
            Targeting::Share { bucketing, .. } => bucketing.as_ref(),
            Targeting::Aside | Targeting::Foreign => return Err(self.not_ours(flag)),
        };
        Ok(flag.changed(&default(on, off, percent), share(on, off, percent, bucketing)))
    }

    fn without_anybody(&self, flag: &Flag<'t>) -> Result<Vec<Splice>, Failure> {
        let (on, off) = flag.variants.as_ref().ok_or_else(|| self.not_a_switch(flag))?;
        if flag.state().percent == Some(0.0) {
            return Ok(Vec::new());
        }
        let targeting = match &flag.targeting {
            Targeting::Share { bucketing, .. } => share(on, off, 0.0, bucketing.as_ref()),
            Targeting::Default | Targeting::Aside => share(on, off, 0.0, None),
            // Somebody's rules outlive the incident: they are set aside, not thrown away.
            Targeting::Foreign => match flag.object.get("targeting") {
                Some(rules) => format!("{{ \"if\": [false, {rules}, {}] }}", text(off)),
                None => share(on, off, 0.0, None),
            },
        };
        Ok(flag.changed(&default(on, off, 0.0), targeting))
    }

    fn not_a_switch(&self, flag: &Flag<'_>) -> Failure {
        let (path, name) = (self.path.display(), &flag.name);
        Failure::permanent(format!(
            "{path}: the flag `{name}` does not have one variant that is true and one that is \
             false, so I cannot tell on from off; nothing was changed"
        ))
    }

    fn not_ours(&self, flag: &Flag<'_>) -> Failure {
        let (path, name) = (self.path.display(), &flag.name);
        Failure::permanent(format!(
            "{path}: the `targeting` of `{name}` has rules of its own, so no one share holds: \
             leave only a `fractional` there; nothing was changed"
        ))
    }
}

fn broken(path: &Path, (line, column): (usize, usize), why: &str) -> Failure {
    let path = path.display();
    Failure::permanent(format!(
        "{path}:{line}:{column}: {why}; this is no file of flags as flagd reads it, and it was not \
         changed"
    ))
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

fn default(on: &str, off: &str, percent: f64) -> String {
    text(if percent == 100.0 { on } else { off })
}

/// Weights are whole numbers and count against each other, so half a percent is 5 against 995.
fn share(on: &str, off: &str, percent: f64, bucketing: Option<&Value>) -> String {
    let scale = [1.0, 10.0, 100.0].into_iter().find(|scale| (percent * scale).fract() == 0.0);
    let scale = scale.unwrap_or(1000.0);
    let (part, whole) = ((percent * scale).round(), 100.0 * scale);
    let bucketing = bucketing.map(|by| format!("{by}, ")).unwrap_or_default();
    let (on, off, rest) = (text(on), text(off), whole - part);
    format!("{{ \"fractional\": [{bucketing}[{on}, {part}], [{off}, {rest}]] }}")
}

// ---------------------------------------------------------------------------------------------
// One flag

struct Flag<'t> {
    name: String,
    object: Object<'t>,
    enabled: bool,
    /// What its variants for true and for false are called.
    variants: Option<(String, String)>,
    default: Option<String>,
    targeting: Targeting,
}

/// Who gets which variant.
enum Targeting {
    /// Everybody the default.
    Default,
    /// Everybody the one that is off: somebody's rules are there and do nothing.
    Aside,
    Share {
        bucketing: Option<Value>,
        weights: Vec<(String, f64)>,
    },
    Foreign,
}

impl<'t> Flag<'t> {
    fn read(name: &str, object: Object<'t>) -> Self {
        let value = |key| object.get(key).map(|raw| raw.get());
        let value = |key| value(key).and_then(|text| serde_json::from_str::<Value>(text).ok());
        let variants = value("variants").as_ref().and_then(switch);
        let off = variants.as_ref().map(|(_, off)| off.as_str());
        Self {
            name: name.to_owned(),
            enabled: value("state") == Some(Value::from("ENABLED")),
            default: value("defaultVariant").and_then(|name| name.as_str().map(str::to_owned)),
            targeting: value("targeting").map_or(Targeting::Default, |rules| who(&rules, off)),
            variants,
            object,
        }
    }

    fn state(&self) -> FlagState {
        let percent = self.percent().filter(|_| self.enabled);
        FlagState { on: self.enabled && percent != Some(0.0), percent }
    }

    fn percent(&self) -> Option<f64> {
        let (on, off) = self.variants.as_ref()?;
        let default = self.default.as_ref();
        match &self.targeting {
            Targeting::Default if default == Some(on) => Some(100.0),
            Targeting::Default if default == Some(off) => Some(0.0),
            Targeting::Default | Targeting::Foreign => None,
            Targeting::Aside => Some(0.0),
            Targeting::Share { weights, .. } => {
                let ours = weights.iter().all(|(variant, _)| variant == on || variant == off);
                let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
                let open = weights.iter().filter(|(variant, _)| variant == on);
                let open: f64 = open.map(|(_, weight)| weight).sum();
                (ours && all > 0.0).then(|| 100.0 * open / all)
            }
        }
    }

    fn changed(&self, default: &str, targeting: String) -> Vec<Splice> {
        vec![
            self.object.put("state", |_| text("ENABLED")),
            self.object.put("defaultVariant", |_| default.to_owned()),
            self.object.put("targeting", |_| targeting),
        ]
    }
}

fn switch(variants: &Value) -> Option<(String, String)> {
    let one = |wanted: bool| {
        let mut found = variants.as_object()?.iter().filter(|(_, value)| **value == wanted);
        found.next().filter(|_| found.next().is_none()).map(|(name, _)| name.clone())
    };
    Some((one(true)?, one(false)?))
}

fn who(rules: &Value, off: Option<&str>) -> Targeting {
    let Some(rules) = rules.as_object().filter(|rules| !rules.is_empty()) else {
        return if rules.is_null() || rules.is_object() {
            Targeting::Default
        } else {
            Targeting::Foreign
        };
    };
    let only = |name| rules.get(name).filter(|_| rules.len() == 1).and_then(Value::as_array);
    let aside = only("if").is_some_and(|parts| match parts.as_slice() {
        [Value::Bool(false), _, last] => off.is_some() && last.as_str() == off,
        _ => false,
    });
    match only("fractional") {
        _ if aside => Targeting::Aside,
        Some(parts) => weights(parts).unwrap_or(Targeting::Foreign),
        None => Targeting::Foreign,
    }
}

/// What comes before the weights says by what those who ask are sorted.
fn weights(parts: &[Value]) -> Option<Targeting> {
    let (bucketing, parts) = match parts.split_first()? {
        (by, rest) if !by.is_array() => (Some(by.clone()), rest),
        _ => (None, parts),
    };
    let weight = |part: &Value| match part.as_array()?.as_slice() {
        [variant] => Some((variant.as_str()?.to_owned(), 1.0)),
        [variant, weight] => Some((variant.as_str()?.to_owned(), weight.as_f64()?)),
        _ => None,
    };
    let weights = parts.iter().map(weight).collect::<Option<Vec<_>>>()?;
    Some(Targeting::Share { bucketing, weights })
}
