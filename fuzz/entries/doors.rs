//! The whole program over HTTP: the gates, the callbacks of deploys, the API and the page, each with
//! the right credentials, so that what is behind them is reached, and with wrong ones.

use std::sync::{LazyLock, mpsc};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::{Client, RequestBuilder};
use sha2::Sha256;
use tempfile::TempDir;
use tminus::serve::{Options, configured, serve};

use super::{chosen, hex, seconds};

const TOKEN: &str = "token-of-everybody-0123456789-0123456789-0123456789";
/// Flagger's, and what GitHub signs with.
const GATE: &str = "token-of-the-gates-0123456789-0123456789-0123456789";
const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0MfKQ9r8GKY=";

struct House {
    address: String,
    client: Client,
    life: tokio::runtime::Runtime,
    _folder: TempDir,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("plans")).expect("a folder");
    std::fs::write(path("tminus.toml"), include_str!("doors.toml")).expect("a file");
    std::fs::write(path("token"), TOKEN).expect("a file");
    std::fs::write(path("gate"), GATE).expect("a file");
    std::fs::write(path("signing"), format!("whsec_{KEY}")).expect("a file");
    let options = Options {
        config: Some(path("tminus.toml")),
        state: Some(path("state")),
        listen: Some("127.0.0.1:0".parse().expect("an address")),
    };
    let (ready, address) = mpsc::channel();
    std::thread::spawn(move || {
        let mut life = tokio::runtime::Builder::new_multi_thread();
        life.worker_threads(1).enable_all();
        let numbers = PrometheusBuilder::new().build_recorder().handle();
        let ended = life.build().expect("a runtime").block_on(async {
            let told = |address, _: &tminus::config::Config| {
                let _ = ready.send(address);
            };
            serve(&options, configured(&options, None)?, numbers, told).await
        });
        panic!("the program has ended: {:?}", ended.map_err(|why| format!("{why:#}")));
    });
    let address = address.recv().expect("it is ready");
    let life = tokio::runtime::Builder::new_current_thread().enable_all().build();
    House {
        address: format!("http://{address}"),
        client: Client::new(),
        life: life.expect("a runtime"),
        _folder: folder,
    }
});

const DOORS: [&str; 12] = [
    "/gates/flagger/confirm-rollout",
    "/gates/flagger/confirm-traffic-increase",
    "/gates/flagger/rollback",
    "/gates/flagger/event",
    "/gates/github",
    "/callbacks/a",
    "/api/commands",
    "/console/enter",
    "/console/say",
    "/console/press",
    "/console/submit",
    "/console/state",
];

/// The first byte chooses the door, and whether whoever comes may come in.
pub(super) fn doors(data: &[u8]) {
    let Some((first, body)) = chosen(data) else { return };
    let house = &*HOUSE;
    let known = first & 0x80 == 0;
    let path = DOORS[usize::from(first & 0x7f) % DOORS.len()];
    let url = format!("{}{path}", house.address);
    let request = match path {
        "/console/state" => {
            let query: String = form_urlencoded::byte_serialize(body).collect();
            house.client.get(format!("{url}?as={query}"))
        }
        _ => house.client.post(url).body(body.to_vec()),
    };
    let request = request.header("content-type", "application/json");
    let request = if known { let_in(request, path, body) } else { request };
    let status = house.life.block_on(async { request.send().await.expect("it answers").status() });
    assert!(status.as_u16() < 500, "{path}: {status}");
    let guarded = !path.starts_with("/console");
    assert!(known || !guarded || status == 401, "{path} let a stranger in: {status}");
}

fn let_in(request: RequestBuilder, path: &str, body: &[u8]) -> RequestBuilder {
    let house = &*HOUSE;
    if path.starts_with("/console") {
        return request.header("origin", &house.address);
    }
    match path {
        "/gates/github" => request
            .header("x-github-event", "deployment_protection_rule")
            .header("x-github-delivery", "delivery-0001")
            .header("x-hub-signature-256", format!("sha256={}", signed(GATE.as_bytes(), body))),
        "/callbacks/a" => {
            let time = seconds().to_string();
            let key = STANDARD.decode(KEY).expect("base64");
            let said = [b"id.", time.as_bytes(), b".", body].concat();
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
            mac.update(&said);
            let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
            request
                .header("webhook-id", "id")
                .header("webhook-timestamp", time)
                .header("webhook-signature", signature)
        }
        "/api/commands" => request.bearer_auth(TOKEN),
        _ => request.bearer_auth(GATE),
    }
}

fn signed(key: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}
