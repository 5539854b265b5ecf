//! Parses the command line, wires the house and runs it.

use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use tminus::adapters::chat::{discord, slack};
use tminus::app::rehearsal::Trouble;
use tminus::cli::{self, Asked, Door, Exit, Program, Screen, Sent, What};
use tminus::config::{self, Log, LogFormat};
use tminus::demo;
use tminus::offline::{self, Rehearsing, Wanted};
use tminus::serve::{self, End, Options};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let asked = match cli::read(std::env::args_os()) {
        Ok(asked) => asked,
        Err(why) => {
            let _ = why.print();
            return if why.exit_code() == 0 { Exit::Done } else { Exit::Usage }.into();
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(why) => return broken(&anyhow::Error::new(why).context("starting the runtime")),
    };
    match runtime.block_on(run(asked)) {
        Ok(code) => code,
        Err(why) => broken(&why),
    }
}

fn broken(why: &anyhow::Error) -> ExitCode {
    let mut err = Screen::readable(io::stderr());
    let _ = writeln!(err, "{why:#}");
    Exit::Refused.into()
}

async fn run(asked: Asked) -> anyhow::Result<ExitCode> {
    let Asked { state, config, json, what } = asked;
    let options = Options { config, state, listen: None };
    let program = match what {
        What::Line { line, person } => {
            let state = config::state_of(options.config.as_deref(), options.state.as_deref());
            let sent = Sent { line, person };
            return line_to_the_writer(&state, &sent, json).await;
        }
        What::Program(program) => *program,
    };
    match program {
        Program::Serve(serve) => {
            serve_until_told(Options { listen: serve.listen, ..options }).await
        }
        Program::Demo { step } => Ok(demo::run(step).await),
        Program::Say { .. } => unreachable!("`say` is a line for the running writer"),
        printing @ (Program::Rehearse { .. }
        | Program::Check { .. }
        | Program::Config { .. }
        | Program::Doctor
        | Program::Audit { .. }
        | Program::Document { .. }
        | Program::Completions { .. }) => {
            let mut out = screen(io::stdout().lock(), json || printing.is_for_programs());
            let exit = print(printing, &options, json, &mut out).await;
            out.flush()?;
            Ok(exit?.into())
        }
    }
}

fn screen<W: Write>(out: W, exact: bool) -> Screen<W> {
    if exact { Screen::exact(out) } else { Screen::readable(out) }
}

/// What is done here and now, and printed.
async fn print(
    program: Program,
    options: &Options,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    match program {
        Program::Serve(_) | Program::Demo { .. } | Program::Say { .. } => {
            unreachable!("these print nothing here")
        }
        Program::Completions { shell } => {
            let mut script = Vec::new();
            cli::completions(shell, &mut script);
            out.write_all(&script)?;
            Ok(Exit::Done)
        }
        Program::Check { plan } => offline::check(options, &plan, json, out),
        Program::Config { what: cli::Config::Check } => offline::config_check(options, json, out),
        Program::Doctor => offline::doctor(options, json, out).await,
        Program::Audit { what } => audit(options, &what, json, out).await,
        Program::Document { kind, release, output, plan } => {
            let (release, plan) = (release.as_deref(), plan.as_deref());
            let wanted = Wanted { paper: kind, release, plan, output: output.as_deref() };
            offline::document(options, &wanted, out).await
        }
        Program::Rehearse { plan, trouble, report } => {
            let trouble = trouble.map_or(Trouble::None, rehearsed_trouble);
            let wanted = Rehearsing { plan: &plan, trouble, report: report.as_deref() };
            offline::rehearse(options, &wanted, json, out).await
        }
    }
}

fn rehearsed_trouble(trouble: cli::Trouble) -> Trouble {
    match trouble {
        cli::Trouble::NoGo => Trouble::NoGo,
        cli::Trouble::FailedStep => Trouble::FailedStep,
        cli::Trouble::Late => Trouble::Late,
        cli::Trouble::RedMetric => Trouble::RedMetric,
        cli::Trouble::NoData => Trouble::NoData,
        cli::Trouble::Flapping => Trouble::Flapping,
        cli::Trouble::Crash => Trouble::Crash,
    }
}

async fn line_to_the_writer(state: &Path, sent: &Sent, json: bool) -> anyhow::Result<ExitCode> {
    let door = match Door::find(state) {
        Ok(door) => door,
        Err(why) => {
            writeln!(Screen::readable(io::stderr()), "{why}")?;
            return Ok(Exit::Unreachable.into());
        }
    };
    let mut out = screen(io::stdout().lock(), json);
    let mut err = Screen::readable(io::stderr().lock());
    let exit = cli::remote(&door, sent, json, &mut out, &mut err).await?;
    out.flush()?;
    Ok(exit.into())
}

/// The names in the exported sentences are those of the policy in the log.
async fn audit(
    options: &Options,
    what: &cli::Audit,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let state = config::state_of(options.config.as_deref(), options.state.as_deref());
    // For a log that names nobody, or that cannot be followed.
    let spare = serve::configured(&Options::default(), None)?.policy;
    cli::audit(&state, what, json, &spare, out).await
}

async fn serve_until_told(options: Options) -> anyhow::Result<ExitCode> {
    let config = serve::configured(&options, None)?;
    begin_logging(&config.log)?;
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()?;
    let state = config.state.clone();
    let end = serve::serve(&options, config, metrics, |address, config| {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "tminus is ready: http://{address}/");
        if config.demo {
            let _ = writeln!(
                out,
                "Open that page. It is a demo with a sample release; nothing leaves this machine.\n\
                 State: {}. Stop with Ctrl-C; nothing is lost.",
                config.state.display()
            );
        }
    })
    .await?;
    match end {
        End::Stopped => Ok(ExitCode::SUCCESS),
        End::Again => begin_anew(&state),
    }
}

/// A fresh process, without the old log and all that belongs to it. What somebody else keeps in the
/// same directory stays.
fn begin_anew(state: &Path) -> anyhow::Result<ExitCode> {
    for name in serve::KEPT {
        let path = state.join(name);
        let gone = match path.is_dir() && !path.is_symlink() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        match gone {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                return Err(why).with_context(|| format!("removing {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let program = std::env::current_exe().context("finding this program's own file")?;
    let why = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    Err(anyhow::Error::new(why).context("starting anew"))
}

fn begin_logging(log: &Log) -> anyhow::Result<()> {
    let said = std::env::var_os("TMINUS_LOG").filter(|said| !said.is_empty());
    let filter = said.as_ref().map_or(log.filter.as_str().into(), |said| said.to_string_lossy());
    // That of the configuration was judged with it.
    let targets = config::targets(&filter).map_err(|piece| {
        anyhow::anyhow!("TMINUS_LOG: `{piece}` is no filter; write `info`, or `info,tminus=debug`")
    })?;
    let lines = fmt::layer().with_writer(io::stderr);
    let discreet = filter_fn(|about| !is_talkative(about.target()));
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).with_filter(discreet).boxed(),
        LogFormat::Text => {
            lines.with_ansi(io::stderr().is_terminal()).with_filter(discreet).boxed()
        }
    };
    tracing_subscriber::registry().with(targets).with(lines).init();
    Ok(())
}

/// **Invariant:** no filter shows what these libraries write down.
fn is_talkative(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    slack::UNHEARD.contains(&library) || discord::UNHEARD.contains(&library)
}
