//! A click beside a Slack app in Bolt for JavaScript that does the same, on the same machine in the
//! same run: signed, authorised by role, durable before it is acknowledged, and answered. Reported,
//! never asserted.
//!
//! `benches/peer/run` installs the app and starts this; `TMINUS_BENCH_SECONDS` (3),
//! `TMINUS_BENCH_ROUNDS` (3) and `TMINUS_BENCH_DIR` (the system's temporary directory, which is to be
//! on a disk) change how long, how often and where. NODE is the Node to start.

mod world;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use self::world::{
    Program, click, exchanged, free_port, installed, number, percentile, say, secrets, slack, typed,
};

const CLIENTS: [usize; 2] = [1, 64];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let length = Duration::from_secs(number("TMINUS_BENCH_SECONDS", 3));
    let rounds = number("TMINUS_BENCH_ROUNDS", 3);
    let slack = slack(None).await?;
    let disk = std::env::var("TMINUS_BENCH_DIR").map_or_else(|_| std::env::temp_dir(), Into::into);
    for (place, name) in [(Path::new("/dev/shm"), "tmpfs"), (disk.as_path(), "disk")] {
        let mut told: Vec<(Who, Figures)> = Vec::new();
        for _ in 0..rounds {
            for who in [Who::Tminus, Who::Bolt] {
                let dir = tempfile::tempdir_in(place)?;
                told.push((who, figures(who, dir.path(), &slack, length).await?));
            }
        }
        say(&format!("\n{name}, the median of {rounds} rounds of {length:?}:"));
        compared(&told);
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Tminus,
    Bolt,
}

/// One for each number of clients.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    rate: f64,
    p50: f64,
    p99: f64,
    /// CPU seconds of the process for 10,000 clicks.
    cpu: f64,
}

#[derive(Debug, Clone, Default)]
struct Figures {
    start_ms: f64,
    idle_mib: f64,
    after_mib: f64,
    loads: Vec<Load>,
}

fn compared(told: &[(Who, Figures)]) {
    let median = |who: Who, of: &dyn Fn(&Figures) -> f64| {
        let mut all: Vec<f64> =
            told.iter().filter(|(one, _)| *one == who).map(|(_, figures)| of(figures)).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let line = |what: &str, of: &dyn Fn(&Figures) -> f64| {
        let (ours, theirs) = (median(Who::Tminus, of), median(Who::Bolt, of));
        say(&format!("| {what} | {ours:.2} | {theirs:.2} | {:.2} |", ours / theirs));
    };
    say("| what | tminus | Bolt | ratio |\n|---|---|---|---|");
    line("from start to the first acknowledged click, ms", &|it| it.start_ms);
    line("resident when idle, MiB", &|it| it.idle_mib);
    line("resident afterwards, MiB", &|it| it.after_mib);
    for (n, clients) in CLIENTS.iter().enumerate() {
        line(&format!("clicks per second, {clients} clients"), &|it| it.loads[n].rate);
        line(&format!("p50 ms, {clients} clients"), &|it| it.loads[n].p50);
        line(&format!("p99 ms, {clients} clients"), &|it| it.loads[n].p99);
        line(&format!("CPU seconds for 10,000 clicks, {clients} clients"), &|it| it.loads[n].cpu);
    }
}

async fn figures(who: Who, dir: &Path, slack: &str, length: Duration) -> anyhow::Result<Figures> {
    let mut house = started(who, dir, slack).await?;
    if who == Who::Tminus {
        typed(house.port(), "schedule web-shop-v1.2.0 in 30h").await?;
    }
    // Once more, with what it has by then: a first start makes its files.
    house.stop()?;
    let begun = Instant::now();
    house = started(who, dir, slack).await?;
    let start_ms = begun.elapsed().as_secs_f64() * 1e3;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle_mib = house.resident();
    let mut loads = Vec::new();
    for clients in CLIENTS {
        loads.push(loaded(&house, clients, length).await?);
    }
    let after_mib = house.resident();
    house.stop()?;
    Ok(Figures { start_ms, idle_mib, after_mib, loads })
}

async fn loaded(house: &Program, clients: usize, length: Duration) -> anyhow::Result<Load> {
    let (cpu, until, port) = (house.cpu(), Instant::now() + length, house.port());
    let work = (0..clients).map(|_| {
        tokio::spawn(async move {
            let mut line = TcpStream::connect(("127.0.0.1", port)).await?;
            line.set_nodelay(true)?;
            let (mut times, mut answer) = (Vec::new(), Vec::new());
            while Instant::now() < until {
                let request = click("UQUINN", "go --as qa");
                let asked = Instant::now();
                exchanged(&mut line, &request, &mut answer).await?;
                times.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(times)
        })
    });
    let mut times = Vec::new();
    for client in work.collect::<Vec<_>>() {
        times.extend(client.await??);
    }
    // Answers to people may still be on their way: they are part of the work.
    let mut before = house.cpu();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = house.cpu();
        if now - before < 0.02 {
            break;
        }
        before = now;
    }
    let many = times.len() as f64;
    Ok(Load {
        rate: many / length.as_secs_f64(),
        p50: percentile(&mut times, 0.5),
        p99: percentile(&mut times, 0.99),
        cpu: (house.cpu() - cpu) / many * 1e4,
    })
}

// ---------------------------------------------------------------------------------------------
// The two

async fn started(who: Who, dir: &Path, slack: &str) -> anyhow::Result<Program> {
    let port = free_port().await?;
    let command = match who {
        Who::Tminus => tminus(dir, slack, port)?,
        Who::Bolt => bolt(dir, slack, port),
    };
    Program::start(command, port).await
}

fn bolt(dir: &Path, slack: &str, port: u16) -> Command {
    let node = std::env::var("NODE").unwrap_or_else(|_| "node".to_owned());
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer/app.mjs");
    let mut command = Command::new(&node);
    command.args([app, &port.to_string()]).arg(dir).arg(format!("{slack}/")).envs(secrets());
    command.env("NODE_NO_WARNINGS", "1").stdin(Stdio::null());
    command
}

fn tminus(dir: &Path, slack: &str, port: u16) -> anyhow::Result<Command> {
    let mut command = installed(dir, slack, "http")?;
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).stdout(Stdio::null());
    Ok(command)
}
