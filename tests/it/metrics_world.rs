//! A shop that is measured: an exporter with a canary and a stable group that a test drives, and a
//! real Prometheus that scrapes it.
//!
//! ```ignore
//! let mut world = MetricsWorld::start().await;
//! world.canary().errors(0.3);
//! world.seen(&error_rate("canary"), |percent| percent > 25.0).await;
//! world.silence(); // no scrape is answered any more, until `speak`
//! world.stop().await; // Prometheus is gone
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use reqwest::Client;
use tempfile::TempDir;
use tminus::adapters::metrics::{Address, Login, Prometheus};
use tminus::ports::{Failure, Metrics, Question, Series};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::installed::until;

/// Often, so that a test sees in a second what a gate sees in a minute.
const SCRAPE: &str = "250ms";
/// What rates are taken over: eight scrapes.
pub(crate) const WINDOW: &str = "2s";

/// In percent; no number where there is no traffic, no series where there is no exporter.
pub(crate) fn error_rate(group: &str) -> String {
    let requests =
        |more: &str| format!("sum(rate(shop_requests_total{{group=\"{group}\"{more}}}[{WINDOW}]))");
    format!("100 * {} / {}", requests(", code=\"500\""), requests(""))
}

/// In seconds.
pub(crate) fn latency(group: &str) -> String {
    format!("shop_latency_seconds{{group=\"{group}\"}}")
}

/// In requests per second.
pub(crate) fn throughput(group: &str) -> String {
    format!("sum(rate(shop_requests_total{{group=\"{group}\"}}[{WINDOW}]))")
}

pub(crate) struct MetricsWorld {
    keep: TempDir,
    shop: Arc<Shop>,
    exporter: u16,
    url: String,
    prometheus: Option<Child>,
    client: Client,
}

impl MetricsWorld {
    /// Both groups are healthy and busy, and Prometheus has numbers of both.
    pub(crate) async fn start() -> Self {
        Self::start_after("").await
    }

    /// The same, with what it has measured before, in the text of OpenMetrics.
    pub(crate) async fn start_after(past: &str) -> Self {
        let shop = Arc::new(Shop::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let exporter = listener.local_addr().unwrap().port();
        let router = Router::new().route("/metrics", get(scraped)).with_state(shop.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let keep = TempDir::new().unwrap();
        let (url, client) = (String::new(), Client::new());
        let mut world = Self { keep, shop, exporter, url, prometheus: None, client };
        if !past.is_empty() {
            world.remember(past).await;
        }
        world.begin().await;
        for group in ["canary", "stable"] {
            world.seen(&error_rate(group), |percent| percent.is_finite()).await;
        }
        world
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn canary(&self) -> Group<'_> {
        Group { group: &self.shop.canary }
    }

    pub(crate) fn stable(&self) -> Group<'_> {
        Group { group: &self.shop.stable }
    }

    /// The exporter refuses every scrape; the shop itself goes on.
    pub(crate) fn silence(&self) {
        *self.shop.is_silent.lock().unwrap() = true;
    }

    pub(crate) fn speak(&self) {
        *self.shop.is_silent.lock().unwrap() = false;
    }

    /// Kills Prometheus.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut prometheus) = self.prometheus.take() {
            prometheus.kill().await.unwrap();
        }
    }

    /// Starts it again, at the same address and with all that it had.
    pub(crate) async fn start_again(&mut self) {
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        assert!(self.try_port(port).await, "the port was taken meanwhile: {}", self.log());
    }

    /// The source as tminus asks it.
    pub(crate) fn source(&self) -> Prometheus {
        Prometheus::new("prometheus", &address(&self.url)).unwrap()
    }

    /// The last ten seconds, a point for each half.
    pub(crate) async fn read(&self, query: &str) -> Result<Vec<Series>, Failure> {
        self.source().read(&lately(query)).await
    }

    /// The newest number of the only series, if it is of now.
    pub(crate) async fn now(&self, query: &str) -> Option<f64> {
        let series = self.read(query).await.unwrap();
        assert!(series.len() <= 1, "several series: {series:?}");
        let (at, value) = *series.first()?.points.last()?;
        (at > SystemTime::now() - Duration::from_secs(2)).then_some(value)
    }

    /// Waits until Prometheus has such a number.
    pub(crate) async fn seen(&self, query: &str, is: impl Fn(f64) -> bool) {
        until(query, async || self.now(query).await.is_some_and(&is)).await;
    }

    /// Waits until Prometheus has no number any more.
    pub(crate) async fn unseen(&self, query: &str) {
        until(query, async || self.now(query).await.is_none()).await;
    }

    async fn remember(&self, past: &str) {
        let (text, data) = (self.keep.path().join("past.txt"), self.keep.path().join("data"));
        std::fs::write(&text, past).unwrap();
        std::fs::create_dir(&data).unwrap();
        let mut promtool = Command::new(prometheus().with_file_name("promtool"));
        let promtool = promtool.args(["tsdb", "create-blocks-from", "openmetrics"]);
        let made = promtool.arg(&text).arg(&data).output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Prometheus cannot choose a free port itself, and what is free now may be taken by then.
    async fn begin(&mut self) {
        for _ in 0..10 {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            if self.try_port(port).await {
                return;
            }
        }
        panic!("Prometheus does not start: {}", self.log());
    }

    async fn try_port(&mut self, port: u16) -> bool {
        let config = self.keep.path().join("prometheus.yml");
        let target = format!("127.0.0.1:{}", self.exporter);
        let text = format!(
            "global: {{scrape_interval: {SCRAPE}, scrape_timeout: {SCRAPE}}}\n\
             scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(self.keep.path().join("log")).unwrap();
        let data = self.keep.path().join("data");
        let child = Command::new(prometheus())
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn")
            // One core of those that all tests share.
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.url = format!("http://127.0.0.1:{port}");
        let child = Mutex::new(child);
        // Another's Prometheus may sit on that port: ours knows our exporter.
        let ended = || child.lock().unwrap().try_wait().unwrap().is_some();
        let is_up = async || ended() || self.knows(&target).await;
        until("Prometheus is ready", is_up).await;
        let is_up = !ended();
        self.prometheus = is_up.then(|| child.into_inner().unwrap());
        is_up
    }

    async fn knows(&self, target: &str) -> bool {
        let targets = self.client.get(format!("{}/api/v1/targets", self.url)).send();
        let Ok(targets) = targets.await else { return false };
        targets.text().await.is_ok_and(|targets| targets.contains(target))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.keep.path().join("log")).unwrap_or_default()
    }
}

/// The machine's own, or the one that `tests/run` unpacked.
fn prometheus() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/prometheus/usr/bin");
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&folders).chain([own]);
    let found = all.find(|folder| folder.join("prometheus").is_file());
    found.expect("there is no prometheus: `tests/run` unpacks it").join("prometheus")
}

/// An address without a login.
pub(crate) fn address(url: &str) -> Address {
    Address {
        url: url.to_owned(),
        login: Login::None,
        headers: Default::default(),
        secret_headers: Default::default(),
        ca: None,
        timeout: Duration::from_secs(20),
    }
}

/// A question about the last ten seconds.
pub(crate) fn lately(query: &str) -> Question {
    let to = SystemTime::now();
    let from = to - Duration::from_secs(10);
    Question { query: query.to_owned(), from, to, step: Duration::from_millis(500) }
}

// ---------------------------------------------------------------------------------------------
// The exporter

#[derive(Default)]
struct Shop {
    canary: Mutex<Counters>,
    stable: Mutex<Counters>,
    is_silent: Mutex<bool>,
}

/// One of the two groups, for a test to drive.
pub(crate) struct Group<'w> {
    group: &'w Mutex<Counters>,
}

impl Group<'_> {
    /// This share of the requests fails, from 0 to 1.
    pub(crate) fn errors(&self, share: f64) {
        self.now().errors = Share::Steady(share);
    }

    /// Another share at each scrape, anywhere between the two.
    pub(crate) fn noisy(&self, low: f64, high: f64) {
        self.now().errors = Share::Noisy { low, high };
    }

    /// The one share for some scrapes, the other for as many, and so on.
    pub(crate) fn flapping(&self, one: f64, other: f64, scrapes: u32) {
        self.now().errors = Share::Flapping { one, other, scrapes };
    }

    /// In seconds.
    pub(crate) fn latency(&self, seconds: f64) {
        self.now().latency = seconds;
    }

    /// In requests per second; at 0 nobody comes.
    pub(crate) fn traffic(&self, per_second: f64) {
        self.now().traffic = per_second;
    }

    /// What happened so far happened as it was until now.
    fn now(&self) -> MutexGuard<'_, Counters> {
        let mut counters = self.group.lock().unwrap();
        counters.catch_up();
        counters
    }
}

enum Share {
    Steady(f64),
    Noisy { low: f64, high: f64 },
    Flapping { one: f64, other: f64, scrapes: u32 },
}

struct Counters {
    traffic: f64,
    errors: Share,
    latency: f64,
    worked: f64,
    failed: f64,
    until: Instant,
    scrapes: u32,
}

impl Default for Counters {
    fn default() -> Self {
        let (traffic, errors, latency) = (200.0, Share::Steady(0.003), 0.1);
        let (worked, failed, until, scrapes) = (0.0, 0.0, Instant::now(), 0);
        Self { traffic, errors, latency, worked, failed, until, scrapes }
    }
}

impl Counters {
    fn catch_up(&mut self) {
        let requests = self.traffic * self.until.elapsed().as_secs_f64();
        let share = match self.errors {
            Share::Steady(share) => share,
            Share::Noisy { low, high } => low + (high - low) * scattered(self.scrapes),
            Share::Flapping { one, other, scrapes } => {
                if (self.scrapes / scrapes.max(1)).is_multiple_of(2) { one } else { other }
            }
        };
        self.failed += requests * share;
        self.worked += requests * (1.0 - share);
        self.until = Instant::now();
    }
}

/// From 0 to 1, without any order to the eye, and the same in each run.
fn scattered(number: u32) -> f64 {
    let mixed = (number ^ 0x5bd1).wrapping_mul(0x9e37_79b1);
    f64::from((mixed ^ (mixed >> 15)) % 1000) / 999.0
}

async fn scraped(State(shop): State<Arc<Shop>>) -> (StatusCode, String) {
    if *shop.is_silent.lock().unwrap() {
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    }
    let mut text = String::new();
    let all = [("canary", "v2", &shop.canary), ("stable", "v1", &shop.stable)];
    for (group, version, counters) in all {
        let mut counters = counters.lock().unwrap();
        counters.scrapes += 1;
        counters.catch_up();
        let labels = format!("service=\"web-shop\",group=\"{group}\",version=\"{version}\"");
        let (worked, failed) = (counters.worked, counters.failed);
        writeln!(text, "shop_requests_total{{{labels},code=\"200\"}} {worked}").unwrap();
        writeln!(text, "shop_requests_total{{{labels},code=\"500\"}} {failed}").unwrap();
        writeln!(text, "shop_latency_seconds{{{labels}}} {}", counters.latency).unwrap();
    }
    (StatusCode::OK, text)
}
