//! Parses the command line, wires the house and runs it.

use std::process::ExitCode;

#[derive(clap::Parser)]
struct Cli {
    #[arg(long, global = true)]
    state: Option<std::path::PathBuf>,
    #[command(subcommand)]
    what: Option<What>,
}
#[derive(clap::Subcommand)]
enum What {
    Serve { #[arg(long)] listen: Option<std::net::SocketAddr>, #[arg(long)] config: Option<std::path::PathBuf> },
    Demo { #[command(subcommand)] verb: tminus::demo::Demo },
}

#[tokio::main]
async fn main() -> ExitCode {
    use clap::Parser;
    let cli = Cli::parse();
    match cli.what.unwrap_or(What::Serve { listen: None, config: None }) {
        What::Demo { verb } => tminus::demo::run(verb).await,
        What::Serve { listen, config } => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO).init();
            let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().expect("one");
            let options = tminus::serve::Options { config, state: cli.state, listen };
            match tminus::serve::serve(&options, metrics, |address, _| {
                use std::io::Write;
                let _ = writeln!(std::io::stdout(), "tminus is ready: http://{address}/");
            }).await {
                Ok(_) => ExitCode::SUCCESS,
                Err(why) => { eprintln!("{why:#}"); ExitCode::FAILURE }
            }
        }
    }
}
