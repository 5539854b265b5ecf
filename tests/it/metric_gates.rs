//! A rollout judged by a real Prometheus, played in Slack by the real program: it goes on on green,
//! is held on yellow and on silence, and goes back by itself on red.

use crate::house::House;
use crate::metrics_world::{MetricsWorld, error_rate};
use crate::shop::{pod, prop};
use crate::slack_stage::{Mode, Stage, cast};

const ROOM: &str = "release-v1-2-0";

/// Pod 1 is judged by its errors, for as long as it soaks and at its gate.
const JUDGED: &str = r#"advance = "auto"

[[stage.metric]]
name = "error-rate"
hold_above = 5.0
roll_back_above = 20.0
for = "1s"
"#;

async fn stage(world: &MetricsWorld) -> Stage {
    stage_with(world, JUDGED, "").await
}

/// The same, judged otherwise, with more queries to judge by.
async fn stage_with(world: &MetricsWorld, judged: &str, queries: &str) -> Stage {
    let url = world.url().to_owned();
    let sources = format!(
        r#"
[metrics.prometheus]
url = "{url}"
timeout = "2s"

[queries.error-rate]
query = '{}'
unit = "%"
kind = "error-rate"
"#,
        error_rate("canary")
    );
    let pace = "measure_every = \"1s\"\ngreen_for = \"1s\"\nno_data = \"4s\"\nwatch = \"3s\"";
    let change = |config: String| config.replace("watch = \"3s\"", pace) + &sources + queries;
    let stage = Stage::set_with(Mode::Socket, cast(), change).await;
    let plan = prop("web-shop.toml");
    let plan = plan.replacen("advance = \"manual\"", judged, 1);
    let back = "[rollback]\nautomatic = true";
    stage.here.write("plans/web-shop.toml", &plan.replacen("[rollback]", back, 1));
    stage
}

#[tokio::test]
async fn it_goes_on_by_itself_on_green() {
    let world = MetricsWorld::start().await;
    let stage = stage(&world).await;
    stage.to_start().await;
    stage.sees(ROOM, "is rolled out at 100 %").await;
    let log = stage.log().await;
    let green = log.iter().filter(|entry| entry.contains("numbers of stage 2 are green")).count();
    assert!(green >= 1, "what decided is on record: {log:#?}");
    stage.assert_clean().await;
}

#[tokio::test]
async fn it_goes_back_by_itself_on_red_and_once_even_if_it_is_killed_meanwhile() {
    let world = MetricsWorld::start().await;
    world.canary().errors(0.5);
    world.seen(&error_rate("canary"), |percent| percent > 40.0).await;
    let mut stage = stage(&world).await;
    stage.to_start().await;
    stage.sees(ROOM, "is red and goes back by itself").await;
    stage.killed_and_started_again().await;
    stage.sees(ROOM, "is back on v1.1.9").await;
    let told = stage.reads(ROOM, "Rolling Web shop back").await;
    assert!(told.contains("by itself") && told.contains("Error rate"), "{told}");
    assert_eq!(pod(&stage.here, 1), "v1.1.9");
    let asked = stage.log().await;
    let asked = asked.iter().filter(|entry| entry.contains("The numbers rolled it back")).count();
    assert_eq!(asked, 1);
    stage.assert_clean().await;
}

#[tokio::test]
async fn it_is_held_on_yellow_with_the_numbers_that_say_why() {
    let world = MetricsWorld::start().await;
    world.canary().errors(0.1);
    world.seen(&error_rate("canary"), |percent| (6.0..19.0).contains(&percent)).await;
    let stage = stage(&world).await;
    stage.to_start().await;
    let told = stage.reads(ROOM, "Web shop v1.2.0 is on hold").await;
    assert!(told.contains("Error rate") && told.contains("above 5"), "{told}");
    stage.says("maria", "override metrics-2 a known bug", "is overridden").await;
    stage.says("maria", "resume", "goes on").await;
    stage.sees(ROOM, "is rolled out at 100 %").await;
    stage.assert_clean().await;
}

#[tokio::test]
async fn it_is_held_when_prometheus_is_gone() {
    let mut world = MetricsWorld::start().await;
    let stage = stage(&world).await;
    world.stop().await;
    stage.to_start().await;
    let told = stage.reads(ROOM, "Web shop v1.2.0 is on hold").await;
    assert!(told.contains("Error rate cannot be told"), "{told}");
    assert!(stage.log().await.iter().all(|entry| !entry.contains("rolled out")));
    stage.assert_clean().await;
}

/// For twenty minutes until just now, the old version took a tenth of a second.
fn twenty_minutes() -> String {
    let now = chrono::Utc::now().timestamp() - 3;
    let mut past = "# TYPE shop_latency_seconds gauge\n".to_owned();
    for back in (0..80).rev() {
        let at = now - back * 15;
        past += &format!("shop_latency_seconds{{group=\"canary\",version=\"v1\"}} 0.1 {at}\n");
    }
    past + "# EOF\n"
}

const LATENCY: &str = r#"
[queries.latency]
query = 'max(shop_latency_seconds{group="canary"})'
unit = "s"
kind = "latency"
"#;

const AGAINST_BEFORE: &str = r#"advance = "auto"

[[stage.metric]]
name = "latency"
against = "before"
for = "1s"
"#;

#[tokio::test]
async fn the_fifteen_minutes_before_the_deploy_are_what_it_is_compared_with() {
    let world = MetricsWorld::start_after(&twenty_minutes()).await;
    world.canary().latency(0.11);
    let now = "max(shop_latency_seconds{group=\"canary\"})";
    world.seen(now, |seconds| seconds == 0.11).await;
    let stage = stage_with(&world, AGAINST_BEFORE, LATENCY).await;
    stage.to_start().await;
    stage.sees(ROOM, "is rolled out at 100 %").await;
    stage.assert_clean().await;
}

#[tokio::test]
async fn slower_than_the_fifteen_minutes_before_the_deploy_goes_back() {
    let world = MetricsWorld::start_after(&twenty_minutes()).await;
    world.canary().latency(0.17);
    let now = "max(shop_latency_seconds{group=\"canary\"})";
    world.seen(now, |seconds| seconds == 0.17).await;
    let stage = stage_with(&world, AGAINST_BEFORE, LATENCY).await;
    stage.to_start().await;
    let told = stage.reads(ROOM, "is red and goes back by itself").await;
    assert!(told.contains("baseline 0.1 s") && told.contains("more than 50 %"), "{told}");
    stage.sees(ROOM, "is back on v1.1.9").await;
    stage.assert_clean().await;
}

/// Each endpoint by itself, one number against another, and lines in a log, counted.
const FORMS: &str = r#"advance = "auto"

[[stage.metric]]
name = "by-code"
each = true
hold_above = 100000

[[stage.metric]]
name = "p99"
against = "p50"
hold_rise = 400

[[stage.metric]]
name = "throughput"
hold_rise = 50
hold_fall = 50

[[stage.metric]]
name = "new-errors"
hold_above = 0
"#;

const FORM_QUERIES: &str = r#"
[queries.by-code]
query = 'sum by (code) (rate(shop_requests_total{group="canary"}[2s]))'
[queries.p99]
query = 'max(shop_latency_seconds{group="canary"})'
unit = "s"
[queries.p50]
query = 'min(shop_latency_seconds{group="stable"})'
unit = "s"
[queries.throughput]
query = 'sum(rate(shop_requests_total{group="canary"}[2s]))'
baseline = 'sum(rate(shop_requests_total{group="stable"}[2s]))'
kind = "throughput"
[queries.new-errors]
query = 'sum(increase(log_lines_total{level="ERROR"}[2s])) or vector(0)'
"#;

#[tokio::test]
async fn endpoints_percentiles_throughput_and_log_lines_are_judged_too() {
    let world = MetricsWorld::start().await;
    let stage = stage_with(&world, FORMS, FORM_QUERIES).await;
    stage.to_start().await;
    stage.sees(ROOM, "is rolled out at 100 %").await;
    stage.assert_clean().await;
}

#[tokio::test]
async fn a_p99_beyond_five_times_the_p50_is_held() {
    let world = MetricsWorld::start().await;
    world.canary().latency(0.6);
    world.seen("max(shop_latency_seconds{group=\"canary\"})", |seconds| seconds == 0.6).await;
    let stage = stage_with(&world, FORMS, FORM_QUERIES).await;
    stage.to_start().await;
    let told = stage.reads(ROOM, "Web shop v1.2.0 is on hold").await;
    assert!(told.contains("P99 0.6 s") && told.contains("more than 400 %"), "{told}");
    stage.assert_clean().await;
}
