//! Every document of the sample release, read whole.

use super::*;
use crate::app::markup;
use crate::domain::command::Actor;
use crate::domain::fixture::{World, id, plan};
use crate::domain::plan::{MetricGate, PlannedQuery};
use crate::domain::state::Step;

fn entries(world: &World) -> Vec<ReportEntry> {
    let actor = |actor: &Actor| match actor {
        Actor::Person { account, .. } => account.user.clone(),
        Actor::Machine(name) => name.clone(),
        Actor::Clock => "the clock".to_owned(),
        Actor::Neighbour => "a neighbour".to_owned(),
        Actor::Operator => "the operator".to_owned(),
    };
    let entry = |(seq, (at, by, event)): (usize, &(Time, Actor, crate::domain::event::Event))| {
        let seq = i64::try_from(seq + 1).expect("a short log");
        ReportEntry { seq, at: *at, actor_name: actor(by), text: describe(event, world.policy()) }
    };
    world.log.iter().enumerate().map(entry).collect()
}

#[test]
fn the_plan_is_a_document() {
    let world = World::counting_down();
    insta::assert_snapshot!(release_plan(world.release(), world.policy()));
}

#[test]
fn the_plan_tells_how_each_stage_is_judged_and_by_when() {
    let world = World::counting_down();
    let mut release = world.release().clone();
    let plan = std::sync::Arc::make_mut(&mut release.plan);
    plan.release.advance_within = Some("Mon–Fri 09–17".parse().expect("hours"));
    let stage = &mut plan.stages[1];
    stage.decide_by = Some(Span::hours(72));
    stage.notice = Some("customers".into());
    stage.feedback = Some("What is missing?".into());
    let gate = |name: &str| MetricGate { name: name.into(), ..MetricGate::default() };
    let errors = MetricGate { hold_above: Some(0.1), ..gate("errors") };
    stage.metrics = vec![errors, gate("p95"), gate("carts")];
    let own = PlannedQuery { query: Some("rate(carts[1m])".into()), ..PlannedQuery::default() };
    plan.queries.insert("carts".into(), own);
    let page = release_plan(&release, world.policy());
    for part in [
        "Judged by Error rate: held above 0.1 %",
        "Judged by p95: held 20 % above the stable group, red 50 % above the stable group for 60 s",
        "Decided by 3 d after it is out at the latest",
        "Goes on by itself Mon–Fri 09–17 only (America/Los_Angeles)",
        "Then customers is told and asked: What is missing?",
        "Carts: `rate(carts[1m])`",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
}

#[test]
fn the_checklist_is_a_document() {
    let world = World::counting_down();
    insta::assert_snapshot!(deployment_checklist(world.release(), world.policy()));
}

#[test]
fn the_way_back_is_a_document() {
    let world = World::counting_down();
    insta::assert_snapshot!(rollback_plan(world.release(), world.policy()));
}

#[test]
fn there_are_notes_for_users_and_for_engineers() {
    insta::assert_snapshot!("notes", release_notes(&plan()));
    insta::assert_snapshot!("technical_notes", technical_notes(&plan()));
}

#[test]
fn a_success_is_reported() {
    let world = World::done();
    insta::assert_snapshot!(report(world.release(), world.policy(), &entries(&world)));
}

#[test]
fn a_rollback_is_reported_with_its_follow_ups() {
    let world = World::rolled_back();
    let page = report(world.release(), world.policy(), &entries(&world));
    assert!(
        page.contains("**FAILED** · ROLLED\\_BACK") || page.contains("**FAILED** · ROLLED_BACK")
    );
    insta::assert_snapshot!(page);
}

#[test]
fn a_changed_vote_stays_in_the_report_and_a_bar_does_not_break_its_table() {
    let mut world = World::counting_down();
    world.no_go("sam", "support", "a | b");
    world.go("sam", "support");
    let page = report(world.release(), world.policy(), &[]);
    assert!(page.contains("| support | NO-GO (changed) | sam |"), "{page}");
    assert!(page.contains(r"a \| b |"), "{page}");
    assert!(page.contains("| support | **GO** | sam |"), "{page}");
}

#[test]
fn a_value_that_looks_like_a_placeholder_stays_a_value() {
    let mut world = World::scheduled();
    let release = world.state.releases.get_mut(&id()).expect("it is there");
    let release = std::sync::Arc::make_mut(release);
    let with = BTreeMap::from([("pod".to_owned(), "{version}".to_owned())]);
    let line = command_line(
        release,
        &Step::Stage(0),
        &"deploy-pod".into(),
        &with,
        world.state.house.policy(),
    );
    assert_eq!(line, "bin/deploy --pod {version} --version v1.2.0");
    let line = command_line(
        release,
        &Step::Stage(0),
        &"nothing".into(),
        &with,
        world.state.house.policy(),
    );
    assert_eq!(line, "nothing (not declared by the operator)");
}

#[test]
fn every_event_is_one_plain_sentence() {
    for (name, world) in crate::app::cards::tests::worlds() {
        for (_, _, event) in &world.log {
            let said = describe(event, world.policy());
            assert!(
                said.ends_with('.') && !said.contains("..") && !said.contains('\n'),
                "{name}: {said}"
            );
            let first = said.chars().next().expect("it says something");
            assert!(first.is_alphanumeric(), "{name}: {said}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn what_people_write_comes_back_as_text(written in "[ -~äא]{0,40}") {
        let line = markup::clean(&written);
        let mut page = Page::new("t");
        page.table(&["a", "b"], vec![vec![format!("x{}", text(&written)), code(&written)]]);
        page.sentence(&written);
        page.items([format!("x {}", text(&written))]);
        let said = markup::plain(&markup::parse(&page.done()));
        let bare = |text: &str| text.replace(['\u{2068}', '\u{2069}'], "");
        let said = bare(&said);
        proptest::prop_assert!(said.contains(line.trim()), "{} in {}", line, said);
        let count = said.matches(line.trim()).count();
        proptest::prop_assert!(line.trim().is_empty() || count >= 4, "{} of {}", count, said);
    }
}

#[test]
fn a_command_is_brief_where_it_is_glanced_at() {
    for (line, brief) in [
        (
            "/opt/bin/tminus demo deploy --dir /var/lib/t --pod 2",
            "tminus demo deploy --dir …/t --pod 2",
        ),
        ("/bin/sh /srv/pods.sh deploy 1 v1.2.0", "sh …/pods.sh deploy 1 v1.2.0"),
        ("bin/deploy --pod 1 --to a/b / /x", "bin/deploy --pod 1 --to a/b / /x"),
        ("POST https://ci.example/hooks/9", "POST https://ci.example/hooks/9"),
    ] {
        assert_eq!(in_brief(line), brief);
    }
}
