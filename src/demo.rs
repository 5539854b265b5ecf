//! What the sample release deploys: a small web shop of three pods, in plain files.
//!
//! ```text
//! <dir>/versions/v1.1.9/   one version: its pages and a list of their digests
//! <dir>/pods/1/current     a link to the version that the pod serves
//! <dir>/pods/1/broken      there while newer versions than the one inside cannot start there
//! <dir>/weight             a version and its share of the visitors, where somebody chose one
//! <dir>/spoilt             the version that fails some of its visitors, where there is one
//! <dir>/database           the migrations that were applied, one a line
//! <dir>/backups/           copies of the database, each beside its digest
//! ```
//!
//! Everything is read at each request, so that a flipped link is a deployed version. The verbs are
//! processes of their own, started by the deploy backend, and they check over HTTP what they did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::interval;

/// The version that a new shop serves.
pub const FIRST: &str = "v1.1.9";
const PODS: [u8; 3] = [1, 2, 3];
/// How long a pod may stay red before it counts as broken, and unreachable before it counts as
/// gone. A flipped link shows at the very next request; the rest is for a busy machine.
const RED: Duration = Duration::from_millis(1_200);
const GONE: Duration = Duration::from_secs(10);
const MIGRATIONS: [(&str, Version); 4] = [
    ("0014_create_products", Version(1, 0, 0)),
    ("0015_add_orders", Version(1, 1, 0)),
    ("0016_index_orders_by_day", Version(1, 1, 9)),
    ("0017_add_dashboard_layouts", Version(1, 2, 0)),
];
/// The first version with the new dashboard and the advanced search.
const REDESIGN: Version = Version(1, 2, 0);

/// The steps of the sample release.
#[derive(Debug, Clone, Subcommand)]
pub enum Demo {
    /// Apply the migrations that a version needs
    Migrate {
        #[command(flatten)]
        shop: Shop,
        #[arg(long)]
        version: Version,
    },
    /// Unpack a version, point a pod to it, and wait until the pod answers with it
    Deploy {
        #[command(flatten)]
        shop: Shop,
        #[arg(long)]
        pod: u8,
        #[arg(long)]
        version: Version,
        /// The version's share of the visitors; as many as its pods are, if absent
        #[arg(long)]
        percent: Option<Percent>,
    },
    /// Ask every pod whether it is well, and whether it runs a version
    Health {
        #[command(flatten)]
        shop: Shop,
        #[arg(long)]
        version: Option<Version>,
    },
    /// Try nine things that a customer would do
    Smoke {
        #[command(flatten)]
        shop: Shop,
        #[arg(long)]
        version: Version,
        /// The share of the visitors that it has by now, so that it is tried only where it runs
        #[arg(long)]
        percent: Option<Percent>,
    },
    /// Copy the database beside its digest
    Backup {
        #[command(flatten)]
        shop: Shop,
    },
    /// Restore the newest backup into a scratch file and compare
    RestoreCheck {
        #[command(flatten)]
        shop: Shop,
    },
    /// Point a pod back to a version that is still there
    Rollback {
        #[command(flatten)]
        shop: Shop,
        #[arg(long)]
        pod: u8,
        #[arg(long)]
        version: Version,
        /// Prove that it would work, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Make newer versions fail on a pod, to see what a failed step looks like
    Break {
        #[command(flatten)]
        shop: Shop,
        #[arg(long)]
        pod: u8,
    },
    /// Make a version fail a third of those who get it, though its pods look well
    Spoil {
        #[command(flatten)]
        shop: Shop,
        #[arg(long)]
        version: Version,
        /// Let it work again
        #[arg(long)]
        undo: bool,
    },
    /// Undo `break`
    Mend {
        #[command(flatten)]
        shop: Shop,
        #[arg(long)]
        pod: u8,
    },
}

/// Where the shop is.
#[derive(Debug, Clone, Args)]
pub struct Shop {
    /// Its files
    #[arg(long, env = "TMINUS_DEMO_DIR", default_value = ".tminus/demo")]
    pub dir: PathBuf,
    /// Its address, as the page of `tminus` shows it
    #[arg(long, env = "TMINUS_DEMO_URL", default_value = "http://127.0.0.1:7171")]
    pub url: String,
}

/// Runs one step: what it does on standard output, why it failed as the last line, the outcome as
/// the exit status, 0 or 1.
pub async fn run(verb: Demo) -> ExitCode {
    let mut out = io::stdout();
    match carry_out(verb, &mut out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Nobody is left to be told if this cannot be written.
            let _ = writeln!(out, "{why:#}");
            ExitCode::FAILURE
        }
    }
}

/// The step itself, writing to `out`.
pub async fn carry_out(verb: Demo, out: &mut (dyn Write + Send)) -> Result<()> {
    match verb {
        Demo::Migrate { shop, version } => shop.migrate(version, out),
        Demo::Deploy { shop, pod, version, percent } => {
            shop.deploy(pod, version, percent, out).await
        }
        Demo::Health { shop, version } => shop.health(version, out).await,
        Demo::Smoke { shop, version, percent } => shop.smoke(version, percent, out).await,
        Demo::Backup { shop } => shop.backup(out),
        Demo::RestoreCheck { shop } => shop.restore_check(out),
        Demo::Rollback { shop, pod, version, dry_run: true } => shop.try_flip(pod, version, out),
        Demo::Rollback { shop, pod, version, dry_run: false } => {
            shop.roll_back(pod, version, out).await
        }
        Demo::Break { shop, pod } => shop.break_pod(pod, out),
        Demo::Spoil { shop, version, undo } => shop.spoil(version, undo, out),
        Demo::Mend { shop, pod } => shop.mend(pod, out),
    }
}

/// `v1.2.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u32>> =
            text.strip_prefix('v').unwrap_or(text).split('.').map(|n| n.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self(major, minor, patch)),
            Some(_) | None => Err("a version looks like v1.2.0".to_owned()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A share of all visitors.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = text.parse().ok().filter(|share| (0.0..=100.0).contains(share));
        share.map(Self).ok_or_else(|| "a share is a number from 0 to 100".to_owned())
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

// ---------------------------------------------------------------------------------------------
// The files

/// Sets the shop up with three pods on the first version. What is there stays as it is.
pub fn prepare(dir: &Path) -> Result<()> {
    let first: Version = FIRST.parse().expect("the first version is one");
    let shop = Shop { dir: dir.to_owned(), url: String::new() };
    shop.unpack(first)?;
    if !shop.database().exists() {
        shop.write_database(&needed(first))?;
    }
    for pod in PODS {
        fs::create_dir_all(shop.pod(pod))?;
        if fs::symlink_metadata(shop.pod(pod).join("current")).is_err() {
            shop.flip(pod, first, "current")?;
        }
    }
    Ok(())
}

/// The flags of the plans that ship with the demo, off for everybody: a kill switch that finds no
/// flag cannot say that it is off.
pub fn prepare_flags(file: &Path, names: &BTreeSet<&str>) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let off = json!({
        "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off",
    });
    let flags: serde_json::Map<String, serde_json::Value> =
        names.iter().map(|name| ((*name).to_owned(), off.clone())).collect();
    let schema = "https://flagd.dev/schema/v0/flags.json";
    let text = serde_json::to_string_pretty(&json!({ "$schema": schema, "flags": flags }))?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(file, text + "\n")?)
}

fn needed(version: Version) -> Vec<&'static str> {
    MIGRATIONS.iter().filter(|(_, since)| *since <= version).map(|(name, _)| *name).collect()
}

/// The pages of a version, name and content.
fn pages(version: Version) -> Vec<(&'static str, String)> {
    let redesigned = version >= REDESIGN;
    let dashboard = if redesigned {
        "<h1>Dashboard</h1><p>Your widgets: orders today, visitors, best sellers.</p>"
    } else {
        "<h1>Dashboard</h1><p>Orders today.</p>"
    };
    let products = r#"[{"name":"Desk lamp","price":39},{"name":"Floor lamp","price":89},
{"name":"Reading chair","price":240},{"name":"Tea pot","price":28}]"#;
    let search = if redesigned { "words and price" } else { "words" };
    vec![
        ("version", version.to_string()),
        ("dashboard.html", dashboard.to_owned()),
        ("products.json", products.to_owned()),
        ("search", search.to_owned()),
    ]
}

impl Shop {
    fn versions(&self, version: Version) -> PathBuf {
        self.dir.join("versions").join(version.to_string())
    }

    fn pod(&self, pod: u8) -> PathBuf {
        self.dir.join("pods").join(pod.to_string())
    }

    fn database(&self) -> PathBuf {
        self.dir.join("database")
    }

    /// Writes a version beside its place and moves it there whole. Says whether it was new.
    fn unpack(&self, version: Version) -> Result<bool> {
        let place = self.versions(version);
        if place.exists() {
            check_whole(&place)?;
            return Ok(false);
        }
        let parent = self.dir.join("versions");
        fs::create_dir_all(&parent)?;
        let scratch = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(&parent)?;
        let mut list = String::new();
        for (name, content) in pages(version) {
            fs::write(scratch.path().join(name), &content)?;
            writeln!(list, "{}  {name}", digest(content.as_bytes()))?;
        }
        fs::write(scratch.path().join("digests"), list)?;
        check_whole(scratch.path())?;
        let kept = scratch.keep();
        if let Err(why) = fs::rename(&kept, &place) {
            fs::remove_dir_all(&kept)?;
            // Two pods may be deployed at once: the second finds the version there.
            ensure!(place.exists(), "{} cannot be written: {why}", place.display());
        }
        Ok(true)
    }

    /// Points a link of a pod to a version, in one step: there is no moment without a version.
    fn flip(&self, pod: u8, version: Version, link: &str) -> Result<()> {
        let scratch = self.pod(pod).join(format!(".{link}-{}", std::process::id()));
        // Left over by one that was killed.
        let _ = fs::remove_file(&scratch);
        symlink(format!("../../versions/{version}"), &scratch)?;
        fs::rename(&scratch, self.pod(pod).join(link)).context("flipping the link")
    }

    fn serves(&self, pod: u8) -> Result<Version> {
        let link = self.pod(pod).join("current");
        let text = fs::read_to_string(link.join("version"))
            .with_context(|| format!("pod {pod} has no version"))?;
        text.parse().map_err(anyhow::Error::msg)
    }

    /// The version whose share somebody chose, as long as that says anything.
    fn weight(&self) -> Option<(Version, Percent)> {
        let text = fs::read_to_string(self.dir.join("weight")).ok()?;
        let (version, share) = text.trim().split_once(' ')?;
        Some((version.parse().ok()?, share.parse().ok()?))
    }

    /// In one step: no visitor is in between.
    fn weigh(&self, version: Version, Percent(share): Percent) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        writeln!(file, "{version} {share}")?;
        file.persist(self.dir.join("weight"))?;
        Ok(())
    }

    fn weigh_by_pods(&self) -> Result<()> {
        match fs::remove_file(self.dir.join("weight")) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether a pod can serve what its link points to.
    fn pod_health(&self, pod: u8) -> PodHealth {
        let found = self.serves(pod).and_then(|version| {
            check_whole(&self.pod(pod).join("current"))?;
            Ok(version)
        });
        let (version, why) = match found {
            Ok(version) => (Some(version), self.fault(pod, version)),
            Err(why) => (None, Some(format!("{why:#}"))),
        };
        let status = if why.is_none() { "ok" } else { "broken" }.to_owned();
        PodHealth { pod, status, version: version.map(|version| version.to_string()), why }
    }

    fn fault(&self, pod: u8, version: Version) -> Option<String> {
        let good: Version = fs::read_to_string(self.pod(pod).join("broken")).ok()?.parse().ok()?;
        (version > good).then(|| format!("the payment module of {version} does not start"))
    }

    fn known(&self, pod: u8) -> Result<()> {
        ensure!(self.pod(pod).is_dir(), "There is no pod {pod} in {}.", self.dir.display());
        Ok(())
    }

    fn applied(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.database()).context("There is no database")?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn write_database(&self, lines: &[impl AsRef<str>]) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        for line in lines {
            writeln!(file, "{}", line.as_ref())?;
        }
        file.as_file().sync_all()?;
        file.persist(self.database())?;
        Ok(())
    }
}

/// Each file is there and has the content that was unpacked.
fn check_whole(version: &Path) -> Result<()> {
    let list = fs::read_to_string(version.join("digests")).context("The version is not there")?;
    for line in list.lines() {
        let (wanted, name) = line.split_once("  ").context("The list of digests is damaged")?;
        let content = fs::read(version.join(name)).with_context(|| format!("{name} is missing"))?;
        ensure!(digest(&content) == wanted, "{name} is not what was unpacked");
    }
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

// ---------------------------------------------------------------------------------------------
// The steps

impl Shop {
    fn migrate(&self, version: Version, out: &mut dyn Write) -> Result<()> {
        let mut applied = self.applied()?;
        let missing: Vec<_> =
            needed(version).into_iter().filter(|name| !applied.iter().any(|a| a == name)).collect();
        writeln!(out, "{} migrations are applied, {} to do", applied.len(), missing.len())?;
        for name in &missing {
            applied.push((*name).to_owned());
            self.write_database(&applied)?;
            writeln!(out, "applied {name}")?;
        }
        let now = self.applied()?;
        ensure!(
            needed(version).iter().all(|name| now.iter().any(|a| a == name)),
            "The database does not hold what was just written."
        );
        writeln!(out, "The database is ready for {version}; the version before it still works.")?;
        Ok(())
    }

    async fn deploy(
        &self,
        pod: u8,
        version: Version,
        percent: Option<Percent>,
        out: &mut (dyn Write + Send),
    ) -> Result<()> {
        self.known(pod)?;
        let before = self.serves(pod)?;
        let new = self.unpack(version)?;
        writeln!(out, "{version} {}, digests match", if new { "unpacked" } else { "is there" })?;
        match percent {
            None => self.weigh_by_pods()?,
            // Nobody gets it before its pod is up.
            Some(_) if self.weight().is_none_or(|(own, _)| own != version) => {
                self.weigh(version, Percent(0.0))?;
            }
            Some(_) => {}
        }
        self.flip(pod, version, "current")?;
        writeln!(out, "pod {pod} points to {version}, before to {before}")?;
        self.answers_with(pod, version).await?;
        writeln!(out, "Pod {pod} answers with {version}.")?;
        if let Some(share) = percent {
            self.weigh(version, share)?;
            Asked::new(&self.url)?.has_share(version, share).await?;
            writeln!(out, "{version} has {share} of the visitors.")?;
        }
        Ok(())
    }

    async fn roll_back(
        &self,
        pod: u8,
        version: Version,
        out: &mut (dyn Write + Send),
    ) -> Result<()> {
        self.known(pod)?;
        self.check_target(version)?;
        // Whoever goes back takes the visitors first: a pod takes longer.
        if let Some((other, share)) = self.weight().filter(|(other, _)| *other != version) {
            self.weigh(other, Percent(0.0))?;
            writeln!(out, "{other} has no visitors any more, before {share}")?;
        }
        self.flip(pod, version, "current")?;
        writeln!(out, "pod {pod} points to {version}")?;
        self.answers_with(pod, version).await?;
        writeln!(out, "Pod {pod} is back on {version}.")?;
        Ok(())
    }

    /// The same with a link that nobody reads.
    fn try_flip(&self, pod: u8, version: Version, out: &mut dyn Write) -> Result<()> {
        self.known(pod)?;
        self.check_target(version)?;
        writeln!(out, "{version} is there, digests match")?;
        let link = format!("rehearsal-{}", std::process::id());
        self.flip(pod, version, &link)?;
        let read = fs::read_to_string(self.pod(pod).join(&link).join("version"));
        fs::remove_file(self.pod(pod).join(&link))?;
        ensure!(read? == version.to_string(), "The link of pod {pod} cannot be flipped.");
        writeln!(out, "Pod {pod} can go back to {version}. Nothing was changed.")?;
        Ok(())
    }

    fn check_target(&self, version: Version) -> Result<()> {
        check_whole(&self.versions(version))
            .with_context(|| format!("{version} cannot be rolled back to"))
    }

    async fn health(&self, wanted: Option<Version>, out: &mut (dyn Write + Send)) -> Result<()> {
        let asked = Asked::new(&self.url)?;
        let wanted = wanted.map(|version| version.to_string());
        let mut wrong = Vec::new();
        for pod in PODS {
            let health = asked.pod(pod).await?;
            writeln!(out, "{health}")?;
            let other = wanted.is_some() && health.version != wanted;
            if health.why.is_some() || other {
                wrong.push(format!("pod {pod}"));
            }
        }
        let what = wanted.map_or_else(|| "well".to_owned(), |version| format!("well on {version}"));
        ensure!(wrong.is_empty(), "Not {what}: {}.", wrong.join(", "));
        writeln!(out, "All {} pods are {what}.", PODS.len())?;
        Ok(())
    }

    async fn smoke(
        &self,
        version: Version,
        percent: Option<Percent>,
        out: &mut (dyn Write + Send),
    ) -> Result<()> {
        let asked = Asked::new(&self.url)?;
        let checks = asked.smoke(version, percent).await?;
        let passed = checks.iter().filter(|(_, result)| result.is_ok()).count();
        for (name, result) in &checks {
            match result {
                Ok(()) => writeln!(out, "passed  {name}")?,
                Err(why) => writeln!(out, "FAILED  {name}: {why:#}")?,
            }
        }
        ensure!(passed == checks.len(), "{passed}/{} passed", checks.len());
        writeln!(out, "{passed}/{} passed", checks.len())?;
        Ok(())
    }

    fn backup(&self, out: &mut dyn Write) -> Result<()> {
        let content = fs::read(self.database()).context("There is no database")?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let backups = self.dir.join("backups");
        fs::create_dir_all(&backups)?;
        // Named so that the newest sorts last.
        let path = backups.join(format!("database-{:013}", since.as_millis()));
        fs::write(&path, &content)?;
        fs::write(path.with_extension("sha256"), digest(&content))?;
        ensure!(fs::read(&path)? == content, "The copy differs from the database.");
        writeln!(out, "{} bytes, sha256 {}", content.len(), &digest(&content)[..16])?;
        writeln!(out, "The database is backed up to {}.", path.display())?;
        Ok(())
    }

    fn restore_check(&self, out: &mut dyn Write) -> Result<()> {
        let backups = fs::read_dir(self.dir.join("backups")).context("There is no backup")?;
        let paths = backups.filter_map(|entry| Some(entry.ok()?.path()));
        let newest = paths.filter(|path| path.extension().is_none()).max();
        let newest = newest.context("There is no backup")?;
        let scratch = tempfile::NamedTempFile::new_in(&self.dir)?;
        fs::copy(&newest, scratch.path())?;
        let restored = fs::read_to_string(scratch.path())?;
        let wanted = fs::read_to_string(newest.with_extension("sha256"))?;
        ensure!(
            digest(restored.as_bytes()) == wanted,
            "{} is damaged: make a new backup.",
            newest.display()
        );
        writeln!(out, "restored {}", newest.display())?;
        writeln!(out, "The backup is whole: {} migrations.", restored.lines().count())?;
        Ok(())
    }

    fn break_pod(&self, pod: u8, out: &mut dyn Write) -> Result<()> {
        self.known(pod)?;
        let good = self.serves(pod)?;
        fs::write(self.pod(pod).join("broken"), good.to_string())?;
        writeln!(out, "From now on pod {pod} fails with any version newer than {good}.")?;
        Ok(())
    }

    fn spoil(&self, version: Version, undo: bool, out: &mut dyn Write) -> Result<()> {
        if undo {
            fs::write(self.dir.join("spoilt"), "")?;
            writeln!(out, "{version} works for everybody.")?;
        } else {
            fs::write(self.dir.join("spoilt"), version.to_string())?;
            writeln!(out, "From now on {version} fails a third of its visitors.")?;
        }
        Ok(())
    }

    fn is_spoilt(&self, version: &str) -> bool {
        fs::read_to_string(self.dir.join("spoilt")).is_ok_and(|spoilt| spoilt.trim() == version)
    }

    fn mend(&self, pod: u8, out: &mut dyn Write) -> Result<()> {
        self.known(pod)?;
        match fs::remove_file(self.pod(pod).join("broken")) {
            Ok(()) => writeln!(out, "Pod {pod} is mended.")?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                writeln!(out, "Pod {pod} was not broken.")?;
            }
            Err(why) => return Err(why.into()),
        }
        Ok(())
    }

    /// Waits until a pod answers with a version and is well.
    async fn answers_with(&self, pod: u8, version: Version) -> Result<()> {
        let asked = Asked::new(&self.url)?;
        let begun = Instant::now();
        let mut red_since = None;
        let mut tick = interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            match asked.pod(pod).await {
                Ok(health)
                    if health.why.is_none() && health.version == Some(version.to_string()) =>
                {
                    return Ok(());
                }
                Ok(health) => {
                    let since = *red_since.get_or_insert_with(Instant::now);
                    ensure!(
                        since.elapsed() < RED,
                        "Pod {pod} does not come up with {version}: {}.",
                        health.why.unwrap_or_else(|| "another version answers".to_owned())
                    );
                }
                Err(why) if begun.elapsed() > GONE => {
                    return Err(why).with_context(|| format!("Pod {pod} cannot be asked"));
                }
                Err(_) => {}
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Asking the shop, as a customer or a load balancer would

struct Asked<'a> {
    url: &'a str,
    client: reqwest::Client,
}

type Check = (String, Result<()>);

impl<'a> Asked<'a> {
    fn new(url: &'a str) -> Result<Self> {
        // On this machine: no proxy could know the way.
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5));
        Ok(Self { url: url.trim_end_matches('/'), client: client.build()? })
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, String)> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await;
        let answer = answer.with_context(|| format!("{path} does not answer"))?;
        Ok((answer.status(), answer.text().await?))
    }

    async fn page(&self, path: &str) -> Result<String> {
        let (status, text) = self.get(path).await?;
        ensure!(status == StatusCode::OK, "{path} answers {status}");
        Ok(text)
    }

    async fn pod(&self, pod: u8) -> Result<PodHealth> {
        let (_, text) = self.get(&format!("/pods/{pod}/health")).await?;
        serde_json::from_str(&text).with_context(|| format!("pod {pod} answers something else"))
    }

    /// Everywhere; or, while it has only its share of the visitors, where it runs.
    async fn smoke(&self, version: Version, percent: Option<Percent>) -> Result<Vec<Check>> {
        let pods = match percent {
            None => PODS.to_vec(),
            Some(_) => self.pods_of(version).await?,
        };
        let mut checks = Vec::new();
        for pod in &pods {
            checks.push((format!("pod {pod} is well"), self.is_well_on(*pod, version).await));
        }
        let share = percent.unwrap_or(Percent(100.0));
        let rest = [
            (format!("{share} of the visitors get it"), self.has_share(version, share).await),
            ("the front page names the version".into(), self.front_page(version).await),
            ("every link of the front page leads somewhere".into(), self.links().await),
            ("the shop lists its products".into(), self.products(&pods).await),
            ("search finds a lamp".into(), self.search(&pods, version).await),
            ("the dashboard shows".into(), self.dashboard(&pods, version).await),
        ];
        checks.extend(rest);
        Ok(checks)
    }

    async fn pods_of(&self, version: Version) -> Result<Vec<u8>> {
        let health = self.health().await?;
        let version = Some(version.to_string());
        let pods = health.pods.iter().filter(|pod| pod.version == version);
        let pods: Vec<_> = pods.map(|pod| pod.pod).collect();
        ensure!(!pods.is_empty(), "It runs nowhere.");
        Ok(pods)
    }

    /// Well or broken: it says so in its answer.
    async fn health(&self) -> Result<Health> {
        let (_, text) = self.get("/health").await?;
        serde_json::from_str(&text).context("the shop answers something else")
    }

    async fn is_well_on(&self, pod: u8, version: Version) -> Result<()> {
        let health = self.pod(pod).await?;
        ensure!(health.why.is_none(), "{health}");
        ensure!(health.version == Some(version.to_string()), "{health}");
        Ok(())
    }

    async fn has_share(&self, version: Version, Percent(wanted): Percent) -> Result<()> {
        let health = self.health().await?;
        let share = health.share(&version.to_string());
        ensure!(share == wanted, "{version} has {share} % of the visitors");
        Ok(())
    }

    async fn front_page(&self, version: Version) -> Result<()> {
        let page = self.page("/").await?;
        ensure!(page.contains(&version.to_string()), "it does not");
        Ok(())
    }

    async fn links(&self) -> Result<()> {
        let page = self.page("/").await?;
        let links: Vec<_> =
            page.split("href=\"").skip(1).filter_map(|l| l.split('"').next()).collect();
        ensure!(links.len() >= 3, "it has only {} links", links.len());
        for link in links {
            self.page(&link.replace("&amp;", "&")).await?;
        }
        Ok(())
    }

    async fn products(&self, pods: &[u8]) -> Result<()> {
        for pod in pods {
            let page = self.page(&format!("/pods/{pod}/products")).await?;
            let products: Vec<Product> = serde_json::from_str(&page)?;
            ensure!(products.len() == 4, "pod {pod} lists {}", products.len());
        }
        Ok(())
    }

    async fn search(&self, pods: &[u8], version: Version) -> Result<()> {
        for pod in pods {
            let path = format!("/pods/{pod}/search?q=lamp&below=50");
            let found: Vec<Product> = serde_json::from_str(&self.page(&path).await?)?;
            // Before the redesign the price was not looked at.
            let wanted = if version >= REDESIGN { 1 } else { 2 };
            ensure!(found.len() == wanted, "pod {pod} finds {} instead of {wanted}", found.len());
        }
        Ok(())
    }

    async fn dashboard(&self, pods: &[u8], version: Version) -> Result<()> {
        for pod in pods {
            let page = self.page(&format!("/pods/{pod}/dashboard")).await?;
            let new = page.contains("widgets");
            ensure!(new == (version >= REDESIGN), "pod {pod} shows that of another version");
        }
        Ok(())
    }
}

// ---------------------------------------------------------------------------------------------
// The shop itself

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PodHealth {
    pod: u8,
    status: String,
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl fmt::Display for PodHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.as_deref().unwrap_or("no version");
        write!(f, "pod {}: {version}, {}", self.pod, self.why.as_deref().unwrap_or("ok"))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Health {
    status: String,
    /// The version with the most traffic.
    version: String,
    traffic: Vec<Share>,
    pods: Vec<PodHealth>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Share {
    version: String,
    percent: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Product {
    name: String,
    price: u32,
}

impl Health {
    fn of(shop: &Shop) -> Self {
        let pods: Vec<_> = PODS.iter().map(|pod| shop.pod_health(*pod)).collect();
        let well = pods.iter().all(|pod| pod.why.is_none());
        let mut counts: Vec<(String, usize)> = Vec::new();
        for version in pods.iter().filter_map(|pod| pod.version.clone()) {
            match counts.iter_mut().find(|(known, _)| *known == version) {
                Some((_, count)) => *count += 1,
                None => counts.push((version, 1)),
            }
        }
        let mut traffic = shares(&counts, shop.weight());
        traffic.retain(|share| share.percent > 0.0);
        traffic.sort_by(|a, b| b.percent.total_cmp(&a.percent));
        let version = traffic.first().map_or_else(String::new, |share| share.version.clone());
        Self { status: if well { "ok" } else { "broken" }.to_owned(), version, traffic, pods }
    }

    /// In percent.
    fn share(&self, version: &str) -> f64 {
        let found = self.traffic.iter().find(|share| share.version == version);
        found.map_or(0.0, |share| share.percent)
    }

    /// The version that the nth visitor gets, spread as evenly as it goes.
    fn route(&self, nth: u64) -> Option<&str> {
        const GOLDEN: f64 = 0.618_033_988_749_894_8;
        let all: f64 = self.traffic.iter().map(|share| share.percent).sum();
        let mut place = (nth as f64 * GOLDEN).fract() * all;
        let found = self.traffic.iter().find(|share| {
            place -= share.percent;
            place < 0.0
        });
        Some(found.or(self.traffic.last())?.version.as_str())
    }
}

/// As somebody chose, and the others by their pods; thirds as people say them: 33, 67, 100.
fn shares(pods: &[(String, usize)], weight: Option<(Version, Percent)>) -> Vec<Share> {
    let weight = weight.map(|(version, Percent(share))| (version.to_string(), share));
    let weight = weight.filter(|(own, _)| pods.len() > 1 && pods.iter().any(|(it, _)| it == own));
    let others = |version: &String| weight.as_ref().is_none_or(|(own, _)| own != version);
    let all: usize = pods.iter().filter(|(it, _)| others(it)).map(|(_, count)| count).sum();
    let share = |(version, count): &(String, usize)| {
        let part = *count as f64 / all.max(1) as f64;
        let percent = match &weight {
            Some((own, share)) if own == version => *share,
            Some((_, share)) => (100.0 - share) * part,
            None => (100.0 * part).round(),
        };
        Share { version: version.clone(), percent }
    };
    pods.iter().map(share).collect()
}

/// The shop as a web service, on the files in `dir`.
pub fn router(dir: &Path) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/visit", get(visit))
        .route("/health", get(health))
        .route("/numbers", get(numbers))
        .route("/pods/{pod}/health", get(pod_health))
        .route("/pods/{pod}/products", get(products))
        .route("/pods/{pod}/search", get(search))
        .route("/pods/{pod}/dashboard", get(dashboard))
        .with_state(Shop { dir: dir.to_owned(), url: String::new() })
}

fn status(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn health(State(shop): State<Shop>) -> Response {
    let health = Health::of(&shop);
    (status(health.status == "ok"), Json(health)).into_response()
}

/// As one of the customers, of whom each version gets its share.
async fn visit(State(shop): State<Shop>) -> Result<Html<String>, StatusCode> {
    static VISITS: AtomicU64 = AtomicU64::new(0);
    let health = Health::of(&shop);
    let nth = VISITS.fetch_add(1, Ordering::Relaxed);
    let version = health.route(nth).ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    if nth.is_multiple_of(3) && shop.is_spoilt(version) {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let pods: Vec<_> =
        health.pods.iter().filter(|pod| pod.version.as_deref() == Some(version)).collect();
    let pod = pods[nth as usize % pods.len()].pod;
    let page = file(&shop, pod, "dashboard.html")?;
    Ok(Html(format!("<!doctype html>{page}<footer>{version}, served by pod {pod}</footer>")))
}

/// What each version's pods count and time, as a shop would export it. A broken pod fails whoever
/// it serves; a version that nobody gets has no numbers.
#[derive(Debug, Clone, Serialize)]
struct Numbers {
    /// Of all visitors.
    percent: f64,
    /// Failed requests, in percent.
    error_rate: f64,
    /// Milliseconds.
    p75: f64,
    p95: f64,
}

async fn numbers(State(shop): State<Shop>) -> Json<BTreeMap<String, Numbers>> {
    let health = Health::of(&shop);
    let of = |Share { version, percent }: &Share| {
        let own = health.pods.iter().filter(|pod| pod.version.as_ref() == Some(version));
        let is_broken = own.into_iter().any(|pod| pod.why.is_some()) || shop.is_spoilt(version);
        let numbers = match is_broken {
            true => Numbers { percent: *percent, error_rate: 31.0, p75: 2_900.0, p95: 4_200.0 },
            false => Numbers { percent: *percent, error_rate: 0.04, p75: 96.0, p95: 187.0 },
        };
        (version.clone(), numbers)
    };
    Json(health.traffic.iter().map(of).collect())
}

async fn pod_health(State(shop): State<Shop>, UrlPath(pod): UrlPath<u8>) -> Response {
    if !PODS.contains(&pod) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let health = shop.pod_health(pod);
    (status(health.why.is_none()), Json(health)).into_response()
}

/// A file of the version that a pod serves, if the pod is well.
fn file(shop: &Shop, pod: u8, name: &str) -> Result<String, StatusCode> {
    if !PODS.contains(&pod) {
        return Err(StatusCode::NOT_FOUND);
    }
    if shop.pod_health(pod).why.is_some() {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    fs::read_to_string(shop.pod(pod).join("current").join(name))
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

fn all_products(shop: &Shop, pod: u8) -> Result<Vec<Product>, StatusCode> {
    serde_json::from_str(&file(shop, pod, "products.json")?)
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn products(
    State(shop): State<Shop>,
    UrlPath(pod): UrlPath<u8>,
) -> Result<Json<Vec<Product>>, StatusCode> {
    all_products(&shop, pod).map(Json)
}

#[derive(Deserialize)]
struct Wanted {
    q: String,
    below: Option<u32>,
}

async fn search(
    State(shop): State<Shop>,
    UrlPath(pod): UrlPath<u8>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Product>>, StatusCode> {
    let knows_prices = file(&shop, pod, "search")? == "words and price";
    let below = wanted.below.filter(|_| knows_prices).unwrap_or(u32::MAX);
    let words = wanted.q.to_lowercase();
    let mut found = all_products(&shop, pod)?;
    found.retain(|product| product.name.to_lowercase().contains(&words) && product.price < below);
    Ok(Json(found))
}

async fn dashboard(
    State(shop): State<Shop>,
    UrlPath(pod): UrlPath<u8>,
) -> Result<Html<String>, StatusCode> {
    file(&shop, pod, "dashboard.html").map(|page| Html(format!("<!doctype html>{page}")))
}

async fn front(State(shop): State<Shop>) -> Html<String> {
    Html(front_page(&Health::of(&shop)))
}

fn front_page(health: &Health) -> String {
    let mut shares = String::new();
    for Share { version, percent } in &health.traffic {
        let _ = write!(
            shares,
            "<li style=\"flex:{percent}\" data-version=\"{version}\">{version} · {percent} %</li>"
        );
    }
    let mut pods = String::new();
    for pod in &health.pods {
        let n = pod.pod;
        let version = pod.version.as_deref().unwrap_or("no version");
        let (class, state) = match &pod.why {
            None => ("ok", "● well"),
            Some(_) => ("bad", "▲ broken"),
        };
        let _ = write!(
            pods,
            "<article class=\"{class}\" data-version=\"{version}\"><h2>Pod {n}</h2>\
             <p class=\"version\">{version}</p><p>{state}</p>\
             <p><a href=\"/pods/{n}/dashboard\">Dashboard</a> · \
             <a href=\"/pods/{n}/search?q=lamp&amp;below=50\">Search</a></p></article>"
        );
    }
    PAGE.replace("{version}", &health.version).replace("{shares}", &shares).replace("{pods}", &pods)
}

/// Two colours tell the versions apart, and their names do so without colours. The page asks for
/// itself each second and replaces its middle, so that one sees the versions flip.
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The web shop · {version}</title>
<style>
  :root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif; }
  body { max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }
  #traffic { display: flex; gap: 4px; padding: 0; list-style: none; }
  #traffic li { padding: .4rem .8rem; border-radius: 8px; background: #1f5fa8; color: #fff; }
  #traffic li:nth-child(2) { background: #5b3a8c; }
  #traffic li:nth-child(3) { background: #3d5a40; }
  #pods { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: 1rem; }
  article { border: 2px solid #8888; border-radius: 12px; padding: .5rem 1rem; }
  article.bad { border-color: #c0392b; border-style: dashed; }
  article h2 { font-size: 1rem; margin: .3rem 0 0; }
  .version { font-size: 1.9rem; margin: 0; font-variant-numeric: tabular-nums; }
  .flipped { animation: flip .7s ease-out; }
  @keyframes flip { from { transform: rotateX(90deg); } }
  @media (prefers-reduced-motion: reduce) { .flipped { animation: none; } }
</style>
<main>
<h1>The web shop</h1>
<p>Three pods serve it. What you see is read from their files at this moment.</p>
<h2>Traffic</h2>
<ul id="traffic" aria-label="Traffic by version">{shares}</ul>
<p><a href="/visit">Visit it as one of the customers</a></p>
<section id="pods" aria-label="Pods" aria-live="polite">{pods}</section>
</main>
<script>
  const versions = root => [...root.querySelectorAll('article')].map(pod => pod.dataset.version);
  async function look() {
    try {
      const text = await (await fetch('/')).text();
      const now = new DOMParser().parseFromString(text, 'text/html');
      const main = document.querySelector('main');
      if (now.querySelector('main').innerHTML !== main.dataset.seen) {
        const before = versions(main);
        main.dataset.seen = main.innerHTML = now.querySelector('main').innerHTML;
        document.title = now.title;
        main.querySelectorAll('article').forEach((pod, n) => {
          if (before[n] !== pod.dataset.version) pod.classList.add('flipped');
        });
      }
    } catch { /* The shop is away: look again. */ }
    setTimeout(look, 1000);
  }
  look();
</script>
</html>
"#;
