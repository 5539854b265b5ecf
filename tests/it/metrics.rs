//! Measurements from their sources: a real Prometheus, servers that misbehave, and programs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tempfile::TempDir;
use tminus::adapters::metrics::{Address, Json, Login, Program, Prometheus, json, program};
use tminus::adapters::metrics::{Sources, Target};
use tminus::ports::{Failure, Metrics, Series};
use tokio::net::TcpListener;

use crate::installed::{Installed, until};
use crate::metrics_world::{MetricsWorld, address, error_rate, lately, latency, throughput};
use crate::program::processes_with;

const TOKEN: &str = "a-token-that-nobody-may-read";

/// Transient is "later: …", permanent "never: …".
fn why(read: Result<Vec<Series>, Failure>) -> String {
    let why = match read.expect_err("it must fail") {
        Failure::Transient { why, .. } => format!("later: {why}"),
        Failure::Permanent { why } => format!("never: {why}"),
        Failure::Unknown { why } | Failure::NoEntry { why } => {
            panic!("a question changes nothing, and no entry is permanent: {why}")
        }
    };
    assert!(!why.contains(TOKEN), "{why}");
    why
}

// ---------------------------------------------------------------------------------------------
// A real Prometheus

#[tokio::test]
async fn green_yellow_and_red_are_seen_in_both_groups() {
    let world = MetricsWorld::start().await;
    for (share, percent) in [(0.003, 0.3), (0.0034, 0.34), (0.31, 31.0), (0.0, 0.0)] {
        world.canary().errors(share);
        let near = |seen: f64| (seen - percent).abs() <= 0.001 + percent * 0.02;
        world.seen(&error_rate("canary"), near).await;
    }
    world.seen(&error_rate("stable"), |percent| (percent - 0.3).abs() < 0.01).await;
    world.canary().latency(0.25);
    world.seen(&latency("canary"), |seconds| seconds == 0.25).await;
    world.stable().traffic(50.0);
    world.seen(&throughput("stable"), |rate| (rate - 50.0).abs() < 5.0).await;
    let read = world.read(&error_rate("canary")).await.unwrap();
    let [Series { name, points }] = &read[..] else { panic!("{read:?}") };
    assert_eq!(name, "");
    assert!(points.len() > 3 && points.is_sorted_by(|a, b| a.0 < b.0), "{points:?}");
    assert!(points.iter().any(|(_, percent)| *percent > 20.0), "{points:?}");
}

#[tokio::test]
async fn noise_and_flapping_go_up_and_down() {
    let world = MetricsWorld::start().await;
    world.canary().flapping(0.0, 0.5, 10);
    world.stable().noisy(0.0, 0.02);
    for _ in 0..2 {
        world.seen(&error_rate("canary"), |percent| percent > 40.0).await;
        world.seen(&error_rate("canary"), |percent| percent < 10.0).await;
    }
    world.seen(&error_rate("stable"), |percent| percent > 0.9).await;
    world.seen(&error_rate("stable"), |percent| percent < 0.9).await;
}

#[tokio::test]
async fn nothing_is_no_series_and_nothing_by_nothing_is_no_number() {
    let world = MetricsWorld::start().await;
    assert_eq!(world.read("sum(rate(nobody_counts_this[2s]))").await, Ok(Vec::new()));
    world.canary().traffic(0.0);
    world.seen(&error_rate("canary"), f64::is_nan).await;
    world.seen("vector(1) / 0", |value| value == f64::INFINITY).await;
    world.seen("vector(-1) / 0", |value| value == f64::NEG_INFINITY).await;
}

#[tokio::test]
async fn silence_ends_a_series() {
    let world = MetricsWorld::start().await;
    world.silence();
    world.unseen(&latency("canary")).await;
    let read = world.read(&latency("canary")).await.unwrap();
    let end = read.first().and_then(|series| series.points.last());
    assert!(end.is_none_or(|(at, _)| *at < SystemTime::now() - Duration::from_secs(1)), "{read:?}");
    world.speak();
    world.seen(&latency("canary"), |seconds| seconds == 0.1).await;
}

#[tokio::test]
async fn many_series_are_told_apart_by_their_labels() {
    let world = MetricsWorld::start().await;
    let read = world.read("sum by (group, code) (rate(shop_requests_total[2s]))").await.unwrap();
    let names: Vec<&str> = read.iter().map(|series| series.name.as_str()).collect();
    let expected = [
        r#"{code="200", group="canary"}"#,
        r#"{code="200", group="stable"}"#,
        r#"{code="500", group="canary"}"#,
        r#"{code="500", group="stable"}"#,
    ];
    assert_eq!(names, expected);
    let read = world.read("up").await.unwrap();
    assert!(read[0].name.starts_with("up{instance=\"127.0.0.1:"), "{read:?}");
}

#[tokio::test]
async fn a_question_that_is_wrong_is_told_in_the_words_of_prometheus() {
    let world = MetricsWorld::start().await;
    let wrong = why(world.read("rate(shop_requests_total[").await);
    assert!(wrong.starts_with("never: `prometheus` answers 400"), "{wrong}");
    assert!(wrong.contains("bad_data: 1:26: parse error"), "{wrong}");
    let query = "shop_latency_seconds * on () shop_requests_total";
    let wrong = why(world.read(query).await);
    assert!(wrong.starts_with("never: `prometheus` answers 422"), "{wrong}");
    assert!(wrong.contains("execution: ") && wrong.contains("found duplicate series"), "{wrong}");
    let text = why(world.read("\"text\"").await);
    assert!(text.contains("must be Scalar or instant Vector"), "{text}");
    let now = SystemTime::now();
    let mut backwards = lately("up");
    (backwards.from, backwards.to) = (now, now - Duration::from_secs(1));
    assert!(why(world.source().read(&backwards).await).contains("ends before it begins"));
}

#[tokio::test]
async fn more_points_than_prometheus_gives_are_asked_for_further_apart() {
    let world = MetricsWorld::start().await;
    let mut long = lately("vector(1)");
    for days in [1, 30, 365] {
        long.from = long.to - Duration::from_secs(days * 24 * 3600);
        long.step = Duration::from_secs(1);
        let read = world.source().read(&long).await.unwrap();
        let points = &read[0].points;
        assert!((10_000..=11_000).contains(&points.len()), "{}", points.len());
        let end = points.last().unwrap().0;
        assert!(long.to.duration_since(end).unwrap_or_default() < Duration::from_millis(2));
    }
}

#[tokio::test]
async fn prometheus_gone_is_no_answer_and_it_may_come_back() {
    let mut world = MetricsWorld::start().await;
    world.stop().await;
    let gone = why(world.read("up").await);
    assert!(gone.starts_with("later: `prometheus` cannot be reached: "), "{gone}");
    assert!(!gone.contains("127.0.0.1"), "{gone}");
    world.start_again().await;
    world.seen("up", |up| up == 1.0).await;
}

#[tokio::test]
async fn the_doctor_asks_each_source_and_each_query() {
    let mut world = MetricsWorld::start().await;
    let here = Installed::new(&format!(
        r#"
        [console]
        enabled = false
        [people.maria]
        name = "Maria"
        [roles.captain]
        members = ["maria"]
        may = ["schedule", "start", "rollback", "resume", "override"]
        [metrics.prometheus]
        url = "{}"
        [metrics.measure]
        kind = "program"
        command = ["/nonexistent/measure", "{{query}}"]
        [queries.error-rate]
        source = "prometheus"
        query = 'sum(rate(shop_requests_total{{service="{{service}}", code="500"}}[1m]))'
        baseline = 'sum(rate(shop_requests_total{{service="{{service}}"[1m]))'
        [queries.latency]
        source = "prometheus"
        query = "shop_latency_seconds"
        [queries.orders]
        source = "prometheus"
        query = "shop_orders"
        "#,
        world.url()
    ));
    let said = [
        "✓ metrics prometheus: answers",
        "✗ metrics measure: `measure` (`/nonexistent/measure`) is not a program here",
        "✓ [queries.error-rate] query: understood",
        "✗ [queries.error-rate] baseline: `prometheus` answers 400 Bad Request: bad_data: ",
        "✓ [queries.latency] query: 2 series",
        "✗ [queries.orders] query: it finds nothing",
    ];
    here.cli(&["doctor"]).await.expect(1, &said);
    world.stop().await;
    let said =
        ["✗ metrics prometheus: `prometheus` cannot be reached: ", "mend [metrics.prometheus]"];
    here.cli(&["doctor"]).await.expect(1, &said);
}

// ---------------------------------------------------------------------------------------------
// Servers that misbehave

/// A server that answers everything in one way.
async fn server<A, F>(answer: A) -> String
where
    A: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn answering(status: u16, body: &'static str) -> String {
    server(move |_| async move {
        (StatusCode::from_u16(status).unwrap(), [("retry-after", "7")], body).into_response()
    })
    .await
}

async fn asked(url: &str) -> Result<Vec<Series>, Failure> {
    Prometheus::new("prometheus", &address(url)).unwrap().read(&lately("up")).await
}

#[tokio::test]
async fn what_a_server_answers_decides_whether_it_is_asked_again() {
    let refusal = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
    let victoria = r#"{"status":"error","errorType":"422","error":"cannot parse"}"#;
    let page = "<html>Bad Gateway</html>";
    for (status, body, expected) in [
        (503, refusal, "later: `prometheus` answers 503 Service Unavailable: timeout: query"),
        (422, victoria, "never: `prometheus` answers 422 Unprocessable Entity: 422: cannot parse"),
        (502, page, "later: `prometheus` answers 502 Bad Gateway"),
        (500, "", "later: `prometheus` answers 500"),
        (429, "slowly", "later: `prometheus` answers 429"),
        (401, "", "never: `prometheus` answers 401 Unauthorized: it wants another login"),
        (404, "", "never: `prometheus` answers 404"),
        (302, "", "never: `prometheus` answers 302 Found, and redirects are not followed"),
    ] {
        let url = answering(status, body).await;
        let said = why(asked(&url).await);
        assert!(said.starts_with(expected), "{said}");
    }
    let busy = answering(429, "").await;
    let wait = Some(Duration::from_secs(7));
    assert!(
        matches!(asked(&busy).await, Err(Failure::Transient { retry_after, .. }) if retry_after == wait)
    );
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_as_it_came() {
    let no_data = r#"{"status":"success"}"#;
    let vector = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    let histogram = r#"{"status":"success","data":{"resultType":"matrix","result":
        [{"metric":{"__name__":"h"},"histograms":[[1,{"count":"1"}]]}]}}"#;
    let number = r#"{"status":"success","data":{"resultType":"matrix","result":
        [{"metric":{},"values":[[1,"one"]]}]}}"#;
    let time = r#"{"status":"success","data":{"resultType":"matrix","result":
        [{"metric":{},"values":[[-1e300,"1"]]}]}}"#;
    for (body, expected) in [
        ("<html>\nLog in</html>", "does not answer as Prometheus does, but with \"<html> Log in"),
        ("", "does not answer as Prometheus does, but with \"\""),
        (no_data, "answers without data"),
        (vector, "answers with a vector, not a matrix"),
        (histogram, "answers with a histogram for h, not with numbers: ask for `histogram_quant"),
        (number, "answers with the number \"one\""),
        (time, "answers with the time -1000000"),
    ] {
        let said = why(asked(&answering(200, body).await).await);
        assert!(said.starts_with(&format!("never: `prometheus` {expected}")), "{said}");
    }
    let warned = r#"{"status":"success","warnings":["a store is slow"],
        "data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"-Inf"]]}]}}"#;
    let read = asked(&answering(200, warned).await).await.unwrap();
    assert_eq!(read[0].points, [(UNIX_EPOCH + Duration::from_secs(1), f64::NEG_INFINITY)]);
}

#[tokio::test]
async fn a_server_that_is_slow_or_breaks_off_is_asked_again() {
    let limit = Duration::from_millis(300);
    // One never answers; the other begins to, and never ends.
    let mute = server(|_| std::future::pending()).await;
    let endless = server(|_| async {
        let drops = tokio_stream::StreamExt::chain(
            tokio_stream::once(Ok::<_, std::io::Error>("{")),
            tokio_stream::pending(),
        );
        Body::from_stream(drops).into_response()
    })
    .await;
    for url in [mute, endless] {
        let source = Prometheus::new("prometheus", &Address { timeout: limit, ..address(&url) });
        let begun = Instant::now();
        let said = why(source.unwrap().read(&lately("up")).await);
        assert_eq!(said, "later: `prometheus` did not answer within 300ms");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    let broken = server(|_| async {
        let parts = [Ok("{\"status\":"), Err(std::io::Error::other("gone"))];
        Body::from_stream(tokio_stream::iter(parts)).into_response()
    })
    .await;
    let said = why(asked(&broken).await);
    assert!(said.starts_with("later: `prometheus` broke off: "), "{said}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_it() {
    let sent = Arc::new(Mutex::new(0_usize));
    let count = sent.clone();
    let url = server(move |_| {
        let count = count.clone();
        async move {
            let chunk = vec![b' '; 64 * 1024];
            let chunks = std::iter::repeat_with(move || {
                *count.lock().unwrap() += chunk.len();
                Ok::<_, std::io::Error>(chunk.clone())
            });
            Body::from_stream(tokio_stream::iter(chunks)).into_response()
        }
    })
    .await;
    let said = why(asked(&url).await);
    assert_eq!(said, "never: `prometheus` answers with more than 4 MiB: ask for fewer series");
    // What the sockets hold comes on top.
    let sent = *sent.lock().unwrap();
    assert!(sent < 32 * 1024 * 1024, "{sent}");
}

/// What the server was sent comes back as an error, as some proxies do.
async fn mirror() -> String {
    server(|request: Request| async move {
        let headers = format!("{:?} {:?}", request.headers(), request.uri());
        let error = serde_json::json!({"status": "error", "errorType": "echo", "error": headers});
        (StatusCode::BAD_REQUEST, error.to_string()).into_response()
    })
    .await
}

#[tokio::test]
async fn a_login_arrives_and_is_never_shown() {
    let heard: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let ear = heard.clone();
    let url = server(move |request: Request| {
        ear.lock().unwrap().push(request.headers().clone());
        async { StatusCode::FORBIDDEN.into_response() }
    })
    .await;
    let secret = || TOKEN.to_owned();
    let user = || "bot".to_owned();
    let with = |login, url: &str| Address {
        login,
        headers: BTreeMap::from([("X-Scope-OrgID".to_owned(), "shop".to_owned())]),
        secret_headers: BTreeMap::from([("X-API-Key".to_owned(), secret())]),
        ..address(url)
    };
    let logins = [
        (Login::Token(secret()), "Bearer a-token-that-nobody-may-read"),
        (Login::Password { user: user(), password: secret() }, "Basic Ym90OmEtdG9rZW4t"),
    ];
    for (login, expected) in logins {
        let source = Prometheus::new("prometheus", &with(login.clone(), &url)).unwrap();
        let said = why(source.read(&lately("up")).await);
        assert!(said.ends_with("403 Forbidden: it wants another login"), "{said}");
        let headers = heard.lock().unwrap().pop().unwrap();
        assert!(headers["authorization"].to_str().unwrap().starts_with(expected), "{headers:?}");
        assert_eq!(headers["x-api-key"], TOKEN);
        assert_eq!(headers["x-scope-orgid"], "shop");
        let echoed = Prometheus::new("prometheus", &with(login, &mirror().await)).unwrap();
        let said = why(echoed.read(&lately("up")).await);
        assert!(said.contains("echo: ") && said.contains("***"), "{said}");
        assert!(!said.contains("Ym90OmEtdG9rZW4t"), "{said}");
    }
}

// ---------------------------------------------------------------------------------------------
// JSON

async fn number(url: &str, time: Option<&str>, query: &str) -> Result<Vec<Series>, Failure> {
    let target = json::Target { address: address(url), time: time.map(str::to_owned) };
    Json::new("orders", &target).unwrap().read(&lately(query)).await
}

#[tokio::test]
async fn a_number_is_found_in_json_with_its_time() {
    let body = r#"{"orders": {"per minute": 31.5, "last": null, "text": "0.31"},
        "at": 1767225600.5, "when": "2026-01-01T01:00:00+01:00", "ms": 1767225600000, "list": [7]}"#;
    let url = &answering(200, body).await;
    let before = SystemTime::now();
    let read = number(url, None, "/orders/per minute").await.unwrap();
    let (at, value) = read[0].points[0];
    assert!(value == 31.5 && at >= before && at <= SystemTime::now(), "{read:?}");
    assert_eq!(number(url, None, "orders.last").await, Ok(Vec::new()));
    let new_year = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let read = number(url, Some("/at"), "list.0").await.unwrap();
    assert_eq!(read[0].points, [(new_year + Duration::from_millis(500), 7.0)]);
    let read = number(url, Some("when"), "/list/0").await.unwrap();
    assert_eq!(read[0].points, [(new_year, 7.0)]);
    for (time, query, expected) in [
        (None, "orders.text", "`orders` has the text \"0.31\" at `orders.text`, not a number"),
        (None, "orders", "`orders` has an object at `orders`, not a number"),
        (
            None,
            "/orders/rate",
            "`orders` has no `rate` on the way to `/orders/rate`: there is last,",
        ),
        (
            Some("/ms"),
            "list.0",
            "`orders` has no time at `/ms`: the time 1767225600000 is not in se",
        ),
        (Some("/orders/text"), "list.0", "`orders` has no time at `/orders/text`: give seconds"),
        (Some("/never"), "list.0", "`orders` has no `never` on the way to `/never`: there is at,"),
    ] {
        let said = why(number(url, time, query).await);
        assert!(said.starts_with(&format!("never: {expected}")), "{said}");
    }
}

#[tokio::test]
async fn json_that_is_none_is_told_as_such() {
    assert_eq!(number(&answering(200, "0.5").await, None, ".").await.unwrap()[0].points[0].1, 0.5);
    let said = why(number(&answering(200, "{\"a\": NaN}").await, None, "a").await);
    assert!(
        said.starts_with("never: `orders` does not answer with JSON: expected value"),
        "{said}"
    );
    let said = why(number(&answering(503, "{\"a\": 1}").await, None, "a").await);
    assert_eq!(said, "later: `orders` answers 503 Service Unavailable");
}

// ---------------------------------------------------------------------------------------------
// Programs

/// A script in a folder of its own, whose name marks what it starts.
fn script(text: &str) -> (TempDir, program::Target) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("measure");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let arguments = ["sh", &path, "{query}", "--since={from}", "{step}"];
    let target = program::Target {
        command: arguments.map(str::to_owned).to_vec(),
        directory: Some(folder.path().to_owned()),
        environment: BTreeMap::from([("REGION".to_owned(), "eu-1".to_owned())]),
        pass_environment: Vec::new(),
        secrets: BTreeMap::from([("MEASURE_TOKEN".to_owned(), TOKEN.to_owned())]),
        timeout: Duration::from_secs(20),
    };
    (folder, target)
}

async fn run(text: &str) -> Result<Vec<Series>, Failure> {
    let (_folder, target) = script(text);
    Program::new("mainframe", target).unwrap().read(&lately("orders; $(reboot)")).await
}

#[tokio::test]
async fn a_program_is_given_the_question_and_prints_a_number() {
    let before = SystemTime::now();
    let read = run("test \"$1\" = 'orders; $(reboot)' && test \"$TMINUS_QUERY\" = \"$1\" &&\n\
                    test \"$2\" = \"--since=$TMINUS_FROM\" && test \"$3\" = 0.500 &&\n\
                    test $REGION = eu-1 && test -n \"$MEASURE_TOKEN\" && test -z \"$HOME\" &&\n\
                    test -f measure && echo 0.31\n")
    .await;
    let read = read.unwrap();
    let (at, value) = read[0].points[0];
    assert!(value == 0.31 && at >= before && at <= SystemTime::now(), "{read:?}");
    let read = run("echo '1 1767225600'; echo 'NaN 1767225601'").await.unwrap();
    assert!(read[0].points.len() == 2 && read[0].points[1].1.is_nan(), "{read:?}");
}

#[tokio::test]
async fn a_program_that_does_not_measure_says_why() {
    let shown = "`mainframe` (`sh`)";
    for (text, expected) in [
        ("echo $MEASURE_TOKEN", "never: SHOWN prints \"***\", where a number is wanted"),
        ("true", "never: SHOWN prints nothing, where a number is wanted"),
        ("echo 1; echo 2", "never: SHOWN prints 2 lines, and not each has a time"),
        (
            "echo no; echo \"bad $MEASURE_TOKEN\" >&2; exit 3",
            "never: SHOWN does not measure: exit status 3: bad ***",
        ),
        ("echo busy; exit 75", "later: SHOWN does not measure: exit status 75: busy"),
        ("kill -9 $$", "later: SHOWN does not measure: killed by SIGKILL"),
    ] {
        assert_eq!(why(run(text).await), expected.replace("SHOWN", shown));
    }
    let (_folder, target) = script("");
    let named =
        |program: &str| program::Target { command: vec![program.to_owned()], ..target.clone() };
    let gone = Program::new("mainframe", named("/nonexistent/measure")).unwrap();
    let said = why(gone.read(&lately("x")).await);
    assert!(
        said.starts_with("never: `/nonexistent/measure` does not exist: set [metrics.main"),
        "{said}"
    );
    assert!(Program::new("mainframe", named("{query}")).is_err());
    let directory = Some("/nonexistent".into());
    let lost = Program::new("mainframe", program::Target { directory, ..target.clone() }).unwrap();
    assert!(
        why(lost.read(&lately("x")).await).contains("the directory `/nonexistent` does not exist")
    );
}

#[tokio::test]
async fn a_program_that_goes_on_is_ended_with_all_that_it_started() {
    let endless = "trap '' TERM\nsh \"$0.more\" &\nsh \"$0.more\"\n";
    let more = "trap '' TERM\nwhile :; do read x < fifo; done\n";
    let (folder, mut target) = script(endless);
    target.timeout = Duration::from_secs(1);
    std::fs::write(folder.path().join("measure.more"), more).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(folder.path().join("fifo"))
            .status()
            .unwrap()
            .success()
    );
    let mark = folder.path().display().to_string();
    let program = Program::new("mainframe", target).unwrap();
    let said = why(program.read(&lately("x")).await);
    assert_eq!(said, "later: `mainframe` (`sh`) did not end within 1s, and was stopped");
    assert!(processes_with(&mark).is_empty());
    // Nor does it go on when nobody waits for it any more.
    let question = lately("x");
    let mut reading = Box::pin(program.read(&question));
    let runs = async || !processes_with(&mark).is_empty();
    tokio::select! {
        read = &mut reading => panic!("it cannot have ended: {read:?}"),
        () = until("it runs", runs) => {}
    }
    drop(reading);
    until("it has ended", async || processes_with(&mark).is_empty()).await;
}

#[tokio::test]
async fn a_program_that_prints_without_end_is_ended() {
    let (folder, target) = script("while :; do echo 0.31; done\n");
    let program = Program::new("mainframe", target).unwrap();
    let said = why(program.read(&lately("x")).await);
    assert_eq!(said, "never: `mainframe` (`sh`) prints more than 64 KiB");
    assert!(processes_with(&folder.path().display().to_string()).is_empty());
}

// ---------------------------------------------------------------------------------------------
// By name

#[tokio::test]
async fn a_source_is_asked_by_its_name() {
    let url = answering(200, "{\"rate\": 3}").await;
    let orders = Target::Json(json::Target { address: address(&url), time: None });
    let sources = Sources::new(BTreeMap::from([("orders".to_owned(), orders)])).unwrap();
    assert_eq!(sources.read("orders", &lately("rate")).await.unwrap()[0].points[0].1, 3.0);
    assert_eq!(sources.greet("orders").await, Ok(()));
    let said = why(sources.read("prometheus", &lately("up")).await);
    let expected = "never: there is no source of metrics `prometheus` (configured: orders): \
                    add [metrics.prometheus]";
    assert_eq!(said, expected);
    let bad = Target::Prometheus(address("prometheus.example"));
    assert!(Sources::new(BTreeMap::from([("prometheus".to_owned(), bad)])).is_err());
}
