//! A day of a large company in minutes: hundreds of open releases, thousands of role holders, clicks
//! all the time, and one war room that CI keeps talking in. Then rollbacks, one after the other, while
//! everybody goes on. Reported, never asserted.
//!
//! `cargo bench --bench company`; `TMINUS_BENCH_SECONDS` (60; a day is 600), `TMINUS_BENCH_RELEASES`
//! (500), `TMINUS_BENCH_PEOPLE` (5,000) and `TMINUS_BENCH_DIR` change how long, how many and where.

mod world;

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::net::TcpStream;

use self::world::{Program, free_port, number, percentile, place, say, serial, typed, typed_on};

/// What somebody clicks, per second.
const CLICKS: u64 = 200;
/// What CI says in one room, per second.
const UPDATES: u64 = 50;
/// Releases that are rolled out, to be rolled back at the end.
const ROLLED_OUT: u64 = 100;
/// Who hammers while they are.
const HAMMERS: u64 = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let length = Duration::from_secs(number("TMINUS_BENCH_SECONDS", 60));
    let (releases, people) =
        (number("TMINUS_BENCH_RELEASES", 500), number("TMINUS_BENCH_PEOPLE", 5_000));
    let dir = place()?;
    let slack = Slack::start().await?;
    let program = begun(dir.path(), &slack, people).await?;
    say(&format!("resident when ready, {people} people: {:.0} MiB", program.resident()));
    let begun = Instant::now();
    for n in 0..releases {
        let when = if n < ROLLED_OUT { "in 30s" } else { "in 30h" };
        typed(program.port(), &format!("schedule shop-{n} {when}")).await?;
    }
    say(&format!("{releases} releases scheduled in {:?}", begun.elapsed()));
    for n in 0..ROLLED_OUT {
        is_go(program.port(), n, people).await?;
    }
    for n in 0..ROLLED_OUT {
        goes_out(program.port(), n).await?;
    }
    say(&format!("resident with {releases} open releases: {:.0} MiB", program.resident()));
    a_day(&program, &slack, (releases, people), length).await?;
    rollbacks(&program, dir.path(), (releases, people)).await?;
    Ok(())
}

async fn is_go(port: u16, n: u64, people: u64) -> anyhow::Result<()> {
    let mut line = TcpStream::connect(("127.0.0.1", port)).await?;
    let go = format!("go shop-{n}/production/v1.2.0 --as qa");
    world::exchanged(&mut line, &world::click(&format!("UQ{}", n % people), &go), &mut Vec::new())
        .await
}

/// Started as soon as that may be.
async fn goes_out(port: u16, n: u64) -> anyhow::Result<()> {
    let started = format!("start shop-{n}/production/v1.2.0");
    let begun = Instant::now();
    while let Err(why) = typed(port, &started).await {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "{why}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------
// What happens

async fn a_day(
    program: &Program,
    slack: &Slack,
    (releases, people): (u64, u64),
    length: Duration,
) -> anyhow::Result<()> {
    let until = Instant::now() + length;
    let talk = tokio::spawn(talked(program.port(), until));
    let clicks = tokio::spawn(clicked(program.port(), (releases, people), until));
    let mut memory = Vec::new();
    while Instant::now() < until {
        tokio::time::sleep(length / 6).await;
        memory.push(format!("{:.0}", program.resident()));
    }
    let (mut times, late) = clicks.await??;
    let said = talk.await??;
    let many = times.len();
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| percentile(&mut times, share));
    say(&format!(
        "{many} clicks in {length:?} ({late} begun late): acknowledged p50 {p50:.1} ms, \
         p99 {p99:.1} ms, the slowest {most:.0} ms"
    ));
    say(&format!(
        "{said} updates said in one room meanwhile; resident, MiB: {}",
        memory.join(", ")
    ));
    let (calls, slowest) = slack.told();
    say(&format!("Slack was called {calls} times; the longest queue of one channel: {slowest}"));
    Ok(())
}

/// Steadily, whatever becomes of those before: who clicks does not wait for others.
async fn clicked(
    port: u16,
    (releases, people): (u64, u64),
    until: Instant,
) -> anyhow::Result<(Vec<f64>, u64)> {
    let times = Arc::new(Mutex::new(Vec::new()));
    let mut pace = tokio::time::interval(Duration::from_millis(1_000 / CLICKS));
    let (mut late, mut lines) = (0, Vec::<tokio::sync::mpsc::Sender<Instant>>::new());
    let mut n = 0;
    let mut done = Vec::new();
    for _ in 0..32 {
        let (send, mut heard) = tokio::sync::mpsc::channel::<Instant>(64);
        lines.push(send);
        let times = times.clone();
        done.push(tokio::spawn(async move {
            let mut line = TcpStream::connect(("127.0.0.1", port)).await?;
            line.set_nodelay(true)?;
            let mut answer = Vec::new();
            while let Some(due) = heard.recv().await {
                let n = serial();
                let vote = format!("go shop-{}/production/v1.2.0 --as qa", n % releases);
                let request = world::click(&format!("UQ{}", n % people), &vote);
                world::exchanged(&mut line, &request, &mut answer).await?;
                times.lock().expect("no panic").push(due.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(())
        }));
    }
    while Instant::now() < until {
        let due = pace.tick().await.into_std();
        n += 1;
        if lines[n % lines.len()].try_send(due).is_err() {
            late += 1;
        }
    }
    drop(lines);
    for line in done {
        line.await??;
    }
    let times = std::mem::take(&mut *times.lock().expect("no panic"));
    Ok((times, late))
}

async fn talked(port: u16, until: Instant) -> anyhow::Result<u64> {
    let mut pace = tokio::time::interval(Duration::from_millis(1_000 / UPDATES));
    let http = reqwest::Client::new();
    let mut said = 0;
    while Instant::now() < until {
        pace.tick().await;
        let line = format!("update shop-0/production/v1.2.0 \"part {said} is out\"");
        typed_on(&http, port, &line).await?;
        said += 1;
    }
    Ok(said)
}

/// From the click that says yes to the first line of the backend's program.
async fn rollbacks(
    program: &Program,
    dir: &Path,
    (releases, people): (u64, u64),
) -> anyhow::Result<()> {
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let port = program.port();
    let hammers = (0..HAMMERS).map(|_| {
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut line = TcpStream::connect(("127.0.0.1", port)).await?;
            line.set_nodelay(true)?;
            let (mut answer, mut many) = (Vec::new(), 0_u64);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let n = serial();
                let vote = format!("go shop-{}/production/v1.2.0 --as qa", n % releases);
                let request = world::click(&format!("UQ{}", n % people), &vote);
                world::exchanged(&mut line, &request, &mut answer).await?;
                many += 1;
            }
            anyhow::Ok(many)
        })
    });
    let hammers: Vec<_> = hammers.collect();
    let begun = Instant::now();
    let mut line = TcpStream::connect(("127.0.0.1", port)).await?;
    line.set_nodelay(true)?;
    let http = reqwest::Client::new();
    let (mut reached, mut acknowledged, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..ROLLED_OUT {
        let clicked = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let back = format!("rollback shop-{n}/production/v1.2.0 --confirmed --reason bench");
        let asked = Instant::now();
        world::exchanged(&mut line, &world::click("UMARIA0000", &back), &mut answer).await?;
        acknowledged.push(asked.elapsed().as_secs_f64() * 1e3);
        let started = dir.join(format!("back-{n}"));
        let waited = Instant::now();
        let at = loop {
            let text = std::fs::read_to_string(&started).unwrap_or_default();
            if let Ok(at) = text.trim().parse::<u128>() {
                break at;
            }
            anyhow::ensure!(waited.elapsed() < Duration::from_secs(30), "no rollback of shop-{n}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        reached.push((at.saturating_sub(clicked)) as f64 / 1e6);
        is_over(&http, port, n).await?;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut many = 0;
    for hammer in hammers {
        many += hammer.await??;
    }
    let rate = many as f64 / begun.elapsed().as_secs_f64();
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&mut reached, share));
    let ack = percentile(&mut acknowledged, 0.99);
    say(&format!(
        "{ROLLED_OUT} rollbacks beside {rate:.0} clicks per second of {HAMMERS} clients: from the \
         click to the backend's process p50 {p50:.1} ms, p99 {p99:.1} ms; acknowledged p99 {ack:.1} ms"
    ));
    Ok(())
}

/// Until a rollback has ended, whose other steps would else go ahead of the next one's click.
async fn is_over(http: &reqwest::Client, port: u16, n: u64) -> anyhow::Result<()> {
    let status = format!("status shop-{n}/production/v1.2.0");
    let waited = Instant::now();
    loop {
        let told = typed_on(http, port, &status).await?.to_string();
        if told.contains("rolled back") {
            return Ok(());
        }
        anyhow::ensure!(waited.elapsed() < Duration::from_secs(30), "not rolled back: {told}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// ---------------------------------------------------------------------------------------------
// A Slack that says yes, and looks at its own limit of a message a second for a channel

#[derive(Clone, Default)]
struct Slack {
    api: String,
    calls: Arc<Mutex<HashMap<String, u64>>>,
}

impl Slack {
    async fn start() -> anyhow::Result<Self> {
        let calls: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
        let counted = calls.clone();
        let api = world::slack(Some(Arc::new(move |method: &str, body: &Value| {
            let channel = body["channel"].as_str().unwrap_or_default();
            let mut calls = counted.lock().expect("no panic");
            *calls.entry(format!("{method} {channel}")).or_default() += 1;
        })))
        .await?;
        Ok(Self { api, calls })
    }

    /// How many calls there were, and the most of one kind in one channel.
    fn told(&self) -> (u64, String) {
        let calls = self.calls.lock().expect("no panic");
        let most = calls.iter().max_by_key(|(_, many)| **many);
        let most = most.map(|(what, many)| format!("{many} × {what}")).unwrap_or_default();
        (calls.values().sum(), most)
    }
}

// ---------------------------------------------------------------------------------------------
// The company

/// A deploy that says when its process began, and nothing else: a shell that asks another program for
/// the time would be two starts of a process. The first step alone tells when; a pod of each release
/// carries the release's number.
const PODS: &str = r#"
#include <stdio.h>
#include <string.h>
#include <time.h>
int main(int count, char **said) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (count < 4 || strcmp(said[1], "deploy") || !strcmp(said[2], "v1.2.0")) return 0;
    char name[4096];
    snprintf(name, sizeof name, "%s-%s", said[0], said[3]);
    FILE *back = fopen(name, "wx");
    if (back) fprintf(back, "%lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
    return 0;
}
"#;

async fn begun(dir: &Path, slack: &Slack, people: u64) -> anyhow::Result<Program> {
    std::fs::create_dir_all(dir.join("plans"))?;
    for n in 0..number("TMINUS_BENCH_RELEASES", 500) {
        std::fs::write(dir.join(format!("plans/shop-{n}.toml")), plan(n))?;
    }
    let pods = dir.join("back");
    let source = dir.join("pods.c");
    std::fs::write(&source, PODS)?;
    let mut compiler = std::process::Command::new("cc");
    let made = compiler.arg("-O1").arg("-o").arg(&pods).arg(&source).status()?;
    anyhow::ensure!(made.success(), "the C compiler made no program of {source:?}");
    let house = config(&slack.api, people)?;
    let house = house.replace("\"sh\", \"{state}/../pods.sh\"", &format!("{pods:?}"));
    std::fs::write(dir.join("tminus.toml"), house)?;
    let port = free_port().await?;
    let mut command = world::program(dir);
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).stdout(Stdio::null());
    Program::start(command, port).await
}

/// The shop of the tests, in one stage and without anything that people would have to agree to.
fn plan(n: u64) -> String {
    let shop = world::prop("web-shop.toml");
    let (before, after) = shop.split_once("[[stage]]").unwrap_or_default();
    let (_, after) = after.split_once("[rollback]").unwrap_or_default();
    let stage = format!(
        "[[stage]]\nname = \"All\"\naction = \"deploy\"\nwith = {{ pod = \"{n}\" }}\ntraffic = 100\n\
         soak = \"10h\"\nadvance = \"manual\"\n\n[rollback]"
    );
    let plan = format!("{before}{stage}{after}");
    plan.replace("service = \"web-shop\"", &format!("service = \"shop-{n}\""))
        .replace("name = \"Web shop\"", &format!("name = \"Shop {n}\""))
        .replace("roles = [\"engineering\", \"qa\", \"support\"]", "roles = [\"qa\"]")
        .replace("sections = [\"documentation\", \"infrastructure\"]", "sections = []")
        .replace("with = { pod = \"2\" }", &format!("with = {{ pod = \"{n}\" }}"))
        .replace("with = { pod = \"1\" }", &format!("with = {{ pod = \"{n}\" }}"))
}

/// The house of the tests with many more people in QA.
fn config(api: &str, people: u64) -> anyhow::Result<String> {
    let house = world::prop("tminus.toml").replace("{api_url}", api).replace("{mode}", "http");
    let house = house.replace("listen = \"127.0.0.1:0\"", "");
    let house = house.replace("# {public_url}", "public_url = \"https://tminus.example\"");
    let house = house.replace("{ env = \"SLACK_BOT_TOKEN\" }", "{ env = \"BOT\" }");
    let house = house.replace("app_token = { env = \"SLACK_APP_TOKEN\" }", "");
    let house = house.replace("{ env = \"SLACK_SIGNING_SECRET\" }", "{ env = \"SIGNING\" }");
    let maria = "\"slack/T0HOME0000/UMARIA0000\"";
    let house = house.replace(maria, &format!("{maria}, \"console/local/maria\""));
    let house = house.replace("T0HOME0000", "T0123").replace("required = true", "");
    let mut members = String::new();
    let mut all = String::new();
    for n in 0..people {
        write!(all, "[people.q{n}]\nname = \"Q {n}\"\naccounts = [\"slack/T0123/UQ{n}\"]\n")?;
        write!(members, "\"q{n}\", ")?;
    }
    let qa = "title = \"QA\"\n";
    let house = house.replace(qa, &format!("{qa}members = [{members}]\n"));
    let console = "[[console.channel]]\nid = \"releases\"\nname = \"releases\"\n\n\
                   [console.tokens]\nmaria = { env = \"TOKEN\" }\n";
    Ok(format!("{}\n{all}\n{console}", house.replace("[console]\nenabled = false\n", "")))
}
