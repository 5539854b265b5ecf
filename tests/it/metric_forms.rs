//! Each way in which a plan can have numbers judged, by a real Prometheus and the real program.

use crate::metrics_world::{MetricsWorld, error_rate};
use crate::shop::prop;
use crate::slack_stage::{Mode, Stage, cast};

const ROOM: &str = "release-v1-2-0";

/// A rollout of the shop whose first pod is judged so, with more queries to judge by.
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

const OWN: &str = r#"advance = "auto"

[[stage.metric]]
name = "carts"
hold_above = 5.0
"#;

/// What the plan asks itself is asked like the operator's queries, and said by the plan's words.
#[tokio::test]
async fn a_plan_brings_a_question_of_its_own() {
    let world = MetricsWorld::start().await;
    let stage = stage_with(&world, OWN, "").await;
    let plan = std::fs::read_to_string(stage.here.path("plans/web-shop.toml")).unwrap();
    let query = "max(shop_latency_seconds{group=\"canary\",service=\"{service}\"}) * 100";
    let own =
        format!("[queries.carts]\nquery = '{query}'\ntitle = \"Carts lost\"\nunit = \"a day\"\n");
    stage.here.write("plans/web-shop.toml", &format!("{plan}\n{own}"));
    stage.to_start().await;
    stage.sees(ROOM, "judged by carts lost").await;
    let told = stage.reads(ROOM, "Web shop v1.2.0 is on hold").await;
    assert!(told.contains("Carts lost 10 a day, above 5"), "{told}");
    stage.assert_clean().await;
}
