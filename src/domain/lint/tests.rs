//! The rules of the lint, each broken once in a plan that keeps them all.

use chrono::NaiveDate;

use super::super::policy::PolicyFreeze;
use super::super::time::resolve;
use super::*;

use crate::domain::zone::los_angeles;

const PLAN: &str = r#"
[release]
service = "web-shop"
name = "Web shop"
version = "v1.2.0"
commit = "4f1c2a9"
captain = "maria"
strategy = "rolling"
[[stage]]
name = "Pod 1"
action = "deploy"
with = { pod = "1" }
traffic = 33
soak = "8m"
checks = ["health"]
[[stage]]
name = "Pod 2"
action = "deploy"
with = { pod = "2" }
traffic = 100
soak = "8m"
checks = ["health"]
advance = "auto"
[rollback]
to = "v1.1.9"
rto = "15m"
[[rollback.step]]
name = "Pod 1"
action = "deploy"
with = { pod = "1" }
[[rollback.verify]]
name = "Health"
action = "health"
[[smoke]]
name = "Smoke"
action = "health"
[monitoring]
health = "health"
watchers = ["maria"]
oncall = { primary = "john" }
[[monitoring.metric]]
name = "Error rate"
[checklist]
sections = ["quality"]
"#;

const POLICY: &str = r#"
zone = "America/Los_Angeles"
rooms = []
[people]
maria = { name = "Maria", accounts = [] }
john = { name = "John", accounts = [] }
[roles]
qa = { title = "QA", members = ["maria"], required = true }
senior = { title = "Senior engineer", members = ["john"] }
[audiences]
internal = ["console/local/releases"]
customers = []
[actions.deploy]
shows = "deploy {pod} {version}"
placeholders = ["pod", "version"]
limit = "5m"
[actions.health]
shows = "health {version}"
placeholders = ["version"]
limit = "1m"
[actions.attest]
shows = "attest {artifact}"
placeholders = ["artifact"]
limit = "1m"
[checklist.quality]
title = "Quality"
items = []
"#;

fn plan() -> Plan {
    toml::from_str(PLAN).expect("a plan")
}

fn policy() -> Policy {
    toml::from_str(POLICY).expect("a policy")
}

/// The plan with one thing in its text changed.
fn changed(from: &str, to: &str) -> Plan {
    assert!(PLAN.contains(from), "{from}");
    toml::from_str(&PLAN.replacen(from, to, 1)).expect("a plan")
}

/// The plan with something more at its end.
fn with(more: &str) -> Plan {
    toml::from_str(&format!("{PLAN}{more}")).expect("a plan")
}

fn found(plan: &Plan) -> Vec<Finding> {
    lint(plan, &policy(), None, &Facts::default())
}

/// `rule at key`, for each finding.
fn rules(plan: &Plan) -> Vec<String> {
    named(&found(plan))
}

fn named(found: &[Finding]) -> Vec<String> {
    let named = found.iter().map(|finding| match &finding.at {
        Some(at) => format!("{} at {at}", finding.rule),
        None => finding.rule.clone(),
    });
    named.collect()
}

fn start(local: &str) -> Start {
    let local = chrono::NaiveDateTime::parse_from_str(local, "%Y-%m-%d %H:%M").expect("a time");
    let zone = los_angeles();
    Start { local, zone, at: resolve(local, zone).expect("one instant") }
}

fn at(local: &str, policy: &Policy, facts: &Facts) -> Vec<Finding> {
    lint(&plan(), policy, Some(&start(local)), facts)
}

#[test]
fn a_good_plan_gets_no_finding() {
    assert_eq!(found(&plan()), []);
    assert_eq!(at("2026-12-15 10:00", &policy(), &Facts::default()), []);
}

#[test]
fn a_plan_without_a_way_back_is_refused() {
    let mut plan = plan();
    plan.rollback = None;
    assert_eq!(rules(&plan), ["no-rollback-plan"]);
    assert_eq!(found(&plan)[0].severity, Severity::Refuse);
    plan.rollback = with("").rollback;
    plan.rollback.as_mut().expect("the sample has one").steps.clear();
    assert_eq!(rules(&plan), ["no-rollback-steps at rollback"]);
    assert_eq!(rules(&changed("v1.1.9", "v1.2.0")), ["rollback-to-itself at rollback.to"]);
}

#[test]
fn what_is_not_watched_is_refused() {
    assert_eq!(rules(&changed("watchers = [\"maria\"]", "")), ["nobody-watches at monitoring"]);
    assert_eq!(
        rules(&changed("oncall = { primary = \"john\" }", "")),
        ["no-on-call at monitoring"]
    );
    assert_eq!(rules(&changed("health = \"health\"", "")), ["no-health-check at monitoring"]);
    assert_eq!(
        rules(&changed("[[monitoring.metric]]\nname = \"Error rate\"", "")),
        ["no-metrics at monitoring"]
    );
}

#[test]
fn staging_must_be_expected_by_policy_or_by_plan() {
    let mut lax = policy();
    lax.rules.required_evidence = Vec::new();
    let rules = |plan: &Plan| named(&lint(plan, &lax, None, &Facts::default()));
    assert_eq!(rules(&plan()), ["no-staging at checklist"]);
    let item =
        "[[checklist.item]]\nsection = \"own\"\nname = \"Staging\"\nevidence = \"staging\"\n";
    assert_eq!(rules(&with(item)), [""; 0]);
    assert_eq!(rules(&with("[[evidence]]\nkind = \"staging\"\nresult = \"pass\"\n")), [""; 0]);
}

const MIGRATION: &str = "[[database.migration]]\nname = \"0017_drop_carts\"\n\
                         backward_compatible = true\ntested_in_staging = true\n";

#[test]
fn a_migration_does_not_go_with_all_at_once() {
    let recreate = PLAN.replace("\"rolling\"", "\"recreate\"") + MIGRATION;
    let recreate: Plan = toml::from_str(&recreate).expect("a plan");
    assert_eq!(rules(&recreate), ["migration-all-at-once at release.strategy"]);
    assert_eq!(rules(&with(MIGRATION)), ["rolling-with-migration at release.strategy"]);
}

#[test]
fn a_destructive_migration_needs_somebody_who_accepts_it_by_name() {
    let destructive = format!("{MIGRATION}destructive = true\n");
    let here = "destructive-migration at database.migration[0].destructive";
    let plan = with(&destructive);
    assert!(rules(&plan).contains(&here.to_owned()));
    assert!(found(&plan).iter().any(|finding| finding.overridable));
    let accepted =
        "[[known_issue]]\nwhat = \"0017_drop_carts loses carts\"\naccepted_by = \"john\"\n";
    let accepted = with(&format!("{destructive}{accepted}"));
    assert!(!rules(&accepted).contains(&here.to_owned()));
    let facts = Facts { accepted: ["0017_drop_carts".to_owned()].into(), ..Facts::default() };
    assert!(!named(&lint(&plan, &policy(), None, &facts)).contains(&here.to_owned()));
}

#[test]
fn only_a_hotfix_goes_out_directly_and_its_approver_signs() {
    let direct = changed("\"rolling\"", "\"direct\"");
    assert!(rules(&direct).contains(&"direct-without-hotfix at release.strategy".to_owned()));
    let hotfix = changed("\"rolling\"", "\"direct\"\nkind = \"hotfix\"");
    assert_eq!(rules(&hotfix), [""; 0]);
    let mut strict = policy();
    strict.rules.hotfix_approver = Some("senior".into());
    let found = lint(&hotfix, &strict, None, &Facts::default());
    assert_eq!(named(&found), ["hotfix-approver at signoff.roles"]);
    assert_eq!(found[0].what, "A direct hotfix needs the sign-off of Senior engineer.");
    let mut signed = hotfix;
    signed.signoff.roles = vec!["senior".into()];
    assert_eq!(lint(&signed, &strict, None, &Facts::default()), []);
}

#[test]
fn nothing_advances_blindly() {
    let blind = changed("checks = [\"health\"]\nadvance = \"auto\"", "advance = \"auto\"");
    assert_eq!(rules(&blind), ["blind-advance at stage[1].advance"]);
    let migration = "traffic = 33\nsoak = \"8m\"\nchecks = [\"health\"]";
    let judged_by_itself = changed(migration, "advance = \"auto\"");
    assert_eq!(rules(&judged_by_itself), [""; 0], "a stage without traffic has its own outcome");
}

#[test]
fn hours_are_for_what_goes_on_by_itself() {
    let within = "strategy = \"rolling\"\nadvance_within = \"Mon–Fri 09–17\"";
    let bounded = changed("strategy = \"rolling\"", within);
    // The last stage ends whenever it is done.
    assert_eq!(rules(&bounded), ["hours-of-nothing at release.advance_within"]);
    let automatic = PLAN.replacen("strategy = \"rolling\"", within, 1);
    let automatic = automatic.replacen("traffic = 33", "traffic = 33\nadvance = \"auto\"", 1);
    assert_eq!(rules(&toml::from_str(&automatic).expect("a plan")), [""; 0]);
}

#[test]
fn stages_are_warned_about_what_they_lack() {
    assert_eq!(rules(&changed("soak = \"8m\"", "")), ["no-soak at stage[0].name"]);
    assert_eq!(
        rules(&changed("traffic = 100", "traffic = 50")),
        ["never-everybody at stage[1].traffic"]
    );
    assert_eq!(
        rules(&changed("traffic = 100", "traffic = 20")),
        ["traffic-falls at stage[1].traffic", "never-everybody at stage[1].traffic"]
    );
    assert_eq!(rules(&changed("traffic = 33", "traffic = 100")), Vec::<String>::new());
    assert_eq!(
        rules(&changed("traffic = 33", "traffic = 330")),
        ["bad-traffic at stage[0].traffic"]
    );
    assert_eq!(
        rules(&changed("traffic = 33", "traffic = nan")),
        ["bad-traffic at stage[0].traffic"]
    );
    let smoke = "[[smoke]]\nname = \"Smoke\"\naction = \"health\"";
    assert_eq!(rules(&changed(smoke, "")), ["no-smoke-tests"]);
    assert_eq!(rules(&changed("commit = \"4f1c2a9\"", "")), ["no-artifact at release.version"]);
}

#[test]
fn a_flag_has_an_owner_an_end_and_no_other_flag() {
    let flag = "[[flag]]\nname = \"search\"\ndepends_on = \"ui\"\n";
    assert_eq!(
        rules(&with(flag)),
        [
            "flag-without-owner at flag[0].name",
            "flag-without-expiry at flag[0].name",
            "flag-depends at flag[0].depends_on",
            "flag-half-tried at flag[0].name",
        ]
    );
    let flag = "[[flag]]\nname = \"search\"\nowner = \"john\"\nexpires = \"2027-01-31\"\n\
                tested_on = \"seen\"\ntested_off = \"seen\"\n";
    let late = lint(&with(flag), &policy(), Some(&start("2026-12-15 10:00")), &Facts::default());
    assert_eq!(named(&late), ["flag-outlives at flag[0].expires"]);
    let feature = "[[scope.feature]]\nname = \"Search\"\nflag = \"serach\"\n";
    let unknown = found(&with(&format!("{flag}{feature}")));
    assert_eq!(unknown[0].mend, "Did you mean `search`?");
}

#[test]
fn a_canary_wants_its_features_under_flags() {
    let canary =
        PLAN.replace("\"rolling\"", "\"canary\"") + "[[scope.feature]]\nname = \"Search\"\n";
    let canary: Plan = toml::from_str(&canary).expect("a plan");
    assert_eq!(rules(&canary), ["feature-without-flag at scope.feature[0].name"]);
    assert_eq!(rules(&with("[[scope.feature]]\nname = \"Search\"\n")), [""; 0]);
}

#[test]
fn unknown_names_are_refused_with_the_one_that_was_meant() {
    let mended = |from: &str, to: &str| {
        let found = found(&changed(from, to));
        let [finding] = found.as_slice() else { panic!("{found:?}") };
        (named(&found).remove(0), finding.mend.clone())
    };
    let is = |from, to, rule: &str, mend: &str| {
        assert_eq!(mended(from, to), (rule.to_owned(), mend.to_owned()));
    };
    let john = "Did you mean `john`?";
    is("\"john\"", "\"jon\"", "unknown-person at monitoring.oncall.primary", john);
    let deploy = "Did you mean `deploy`?";
    is("\"deploy\"", "\"depoly\"", "unknown-action at stage[0].action", deploy);
    let health = "Did you mean `health`?";
    is("[\"health\"]", "[\"healht\"]", "unknown-action at stage[0].checks[0]", health);
    let quality = "Did you mean `quality`?";
    let section = "unknown-checklist-section at checklist.sections[0]";
    is("[\"quality\"]", "[\"qualty\"]", section, quality);
    let known = "Known are: qa, senior.";
    let role = "[signoff]\nroles = [\"legal\"]\n[checklist]";
    is("[checklist]", role, "unknown-role at signoff.roles[0]", known);
    let announcement = "[[announcement]]\nid = \"a\"\nat = \"T-1h\"\ntemplate = \"t-1h\"\n\
                        audience = \"internl\"\n[checklist]";
    let audience = "unknown-audience at announcement[0].audience";
    is("[checklist]", announcement, audience, "Did you mean `internal`?");
    let announcement = "[[announcement]]\nid = \"a\"\nat = \"T-1h\"\ntemplate = \"t-84h\"\n\
                        audience = \"internal\"\n[checklist]";
    let template = "unknown-template at announcement[0].template";
    is("[checklist]", announcement, template, "Did you mean `t-48h`?");
    let mut own = policy();
    own.templates.insert("t-84h".into());
    let plan = changed("[checklist]", announcement);
    assert_eq!(lint(&plan, &own, None, &Facts::default()), []);
}

#[test]
fn placeholders_fit_their_action() {
    let misspelt = found(&changed("pod = \"1\"", "pd = \"1\""));
    assert_eq!(
        named(&misspelt),
        ["missing-placeholder at stage[0].action", "unknown-placeholder at stage[0].with.pd"]
    );
    assert_eq!(misspelt[1].what, "No placeholder `pd` in `deploy` or `health`.");
    assert_eq!(misspelt[1].mend, "Did you mean `pod`?");
    let artifact =
        found(&changed("action = \"health\"\n[monitoring]", "action = \"attest\"\n[monitoring]"));
    assert_eq!(artifact[0].mend, "Add `artifact` to [release].");
    assert_eq!(named(&artifact), ["missing-placeholder at smoke[0].action"]);
}

#[test]
fn values_that_no_backend_would_take_are_refused_before_anybody_schedules() {
    let found = found(&changed("pod = \"1\"", "pod = \"1;reboot\""));
    assert_eq!(named(&found), ["bad-value at stage[0].with.pod"]);
    assert_eq!(found[0].what, "The value of `pod` holds `;`: \"1;reboot\".");
    assert!(found[0].mend.starts_with("Allowed are 1 to 200 letters"), "{}", found[0].mend);
    let back = PLAN.replace(
        "name = \"Pod 1\"\naction = \"deploy\"\nwith = { pod = \"1\" }\n[[rollback.verify]]",
        "name = \"Pod 1\"\naction = \"deploy\"\nwith = { pod = \"\" }\n[[rollback.verify]]",
    );
    let back: Plan = toml::from_str(&back).expect("a plan");
    assert_eq!(rules(&back), ["bad-value at rollback.step[0].with.pod"]);
    let artifact = "version = \"v1.2.0\"\nartifact = \"sha256:ab cd\"";
    assert_eq!(
        rules(&changed("version = \"v1.2.0\"", artifact)),
        ["bad-value at release.artifact"]
    );
}

#[test]
fn names_that_become_paths_are_slugs_and_versions() {
    assert_eq!(rules(&changed("\"web-shop\"", "\"Web shop\"")), ["bad-name at release.service"]);
    assert_eq!(rules(&changed("\"v1.2.0\"", "\"--force\"")), ["bad-version at release.version"]);
    assert_eq!(rules(&changed("\"v1.1.9\"", "\"../v1\"")), ["bad-version at rollback.to"]);
}

#[test]
fn customers_who_notice_must_be_told() {
    let seen = "captain = \"maria\"\nuser_facing = true";
    let seen = changed("captain = \"maria\"", seen);
    assert_eq!(rules(&seen), ["customers-not-told at release.user_facing"]);
    let told = "\n[[announcement]]\nid = \"a\"\nat = \"T-24h\"\naudience = \"customers\"\n\
                template = \"t-1h\"\n";
    let mut heard = policy();
    let nobody: Plan = toml::from_str(&format!("{PLAN}{told}")).expect("a plan");
    let plan = Plan { announcements: nobody.announcements, ..seen };
    assert_eq!(rules(&plan), ["customers-not-told at release.user_facing"], "nobody is there");
    let destination = "console/local/customers".parse().expect("a destination");
    heard.audiences.insert("customers".into(), vec![destination]);
    assert_eq!(lint(&plan, &heard, None, &Facts::default()), []);
}

#[test]
fn nothing_starts_in_a_freeze_of_its_own_service() {
    let freeze = |service: Option<&str>| PolicyFreeze {
        id: "f".into(),
        from: start("2026-12-19 00:00").at,
        until: start("2026-12-27 00:00").at,
        reason: "end of the year".into(),
        service: service.map(str::to_owned),
        environment: None,
    };
    let frozen = |service, local: &str| {
        let policy = Policy { freezes: vec![freeze(service)], ..policy() };
        at(local, &policy, &Facts::default())
    };
    let found = frozen(None, "2026-12-22 10:00");
    assert_eq!(named(&found), ["in-a-freeze at release.start"]);
    assert_eq!(
        found[0].to_string(),
        "It would start in a freeze that lasts until Sun 27 Dec, 00:00 PST: end of the year. \
         Choose a start after it."
    );
    assert!(found[0].overridable);
    assert_eq!(frozen(Some("web-shop"), "2026-12-22 10:00").len(), 1);
    assert_eq!(frozen(Some("other"), "2026-12-22 10:00"), []);
    assert_eq!(frozen(None, "2026-12-27 00:00"), [], "its end is no part of it");
}

#[test]
fn friday_afternoons_and_eves_of_holidays_are_warned_about_in_the_plans_zone() {
    let rules = |local: &str, policy: &Policy| named(&at(local, policy, &Facts::default()));
    let none = policy();
    assert_eq!(rules("2026-12-11 12:00", &none), ["friday-afternoon at release.start"]);
    assert_eq!(rules("2026-12-11 11:59", &none), [""; 0]);
    let christmas = NaiveDate::from_ymd_opt(2026, 12, 25).expect("a day");
    let strict = Policy { holidays: [christmas].into(), ..policy() };
    assert_eq!(rules("2026-12-24 10:00", &strict), ["eve-of-a-holiday at release.start"]);
}

#[test]
fn another_open_release_is_warned_about() {
    let facts = Facts { overlapping: vec!["Web shop v1.1.10".into()], ..Facts::default() };
    let found = lint(&plan(), &policy(), None, &facts);
    assert_eq!(found[0].severity, Severity::Warn);
    assert_eq!(
        found[0].what,
        "While it is rolled out and watched, there is another release of Web shop or in \
         production: Web shop v1.1.10."
    );
}

#[test]
fn the_kind_of_change_makes_the_risk() {
    let level = |more: &str| risk(&with(more)).0;
    assert_eq!(risk(&plan()), (Level::Low, vec!["only code changes".into()]));
    assert_eq!(level("[[scope.feature]]\nname = \"Search\"\n"), Level::Medium);
    assert_eq!(level(MIGRATION), Level::Medium);
    let untried = MIGRATION.replace("tested_in_staging = true", "");
    assert_eq!(level(&untried), Level::High);
    assert_eq!(level("[[scope.breaking]]\nwhat = \"x\"\nmigration_guide = \"y\"\n"), Level::High);
}

#[test]
fn a_strategy_is_suggested_and_a_riskier_one_warned_about() {
    let breaking = "[[scope.breaking]]\nwhat = \"x\"\nmigration_guide = \"y\"\n";
    let plan = with(breaking);
    assert_eq!(suggest(&plan).strategy, Strategy::Canary);
    let found = found(&plan);
    assert_eq!(named(&found), ["strategy-and-risk at release.strategy"]);
    assert_eq!(found[0].what, "The risk is high: it breaks what others rely on.");
    let bound = MIGRATION.replace("backward_compatible = true", "backward_compatible = false");
    assert_eq!(suggest(&with(&bound)).strategy, Strategy::BlueGreen);
    assert!(!suggest(&with(&bound)).rolled_back_by.is_empty());
}

#[test]
fn a_flag_is_tried_both_ways() {
    let flag = "[[flag]]\nname = \"search\"\nowner = \"john\"\nexpires = \"2027-01-01\"\n\
                tested_on = \"https://ci.example/7\"\n";
    let found = found(&with(flag));
    assert_eq!(named(&found), ["flag-half-tried at flag[0].name"]);
    assert_eq!(found[0].what, "Nothing shows that search works OFF.");
    assert_eq!(rules(&with(&format!("{flag}tested_off = \"staging\"\n"))), [""; 0]);
}

#[test]
fn what_cannot_be_undone_goes_out_in_somebodys_name() {
    let mail = "[[irreversible]]\nwhat = \"All customers get a mail\"\n";
    let found = found(&with(mail));
    assert_eq!(named(&found), ["irreversible at irreversible[0].what"]);
    assert_eq!(found[0].severity, Severity::Refuse);
    assert_eq!(rules(&with(&format!("{mail}accepted_by = \"john\"\n"))), [""; 0]);
    let stranger = rules(&with(&format!("{mail}accepted_by = \"jon\"\n")));
    assert_eq!(stranger, ["unknown-person at irreversible[0].accepted_by"]);
}

const QUERIES: &str = r#"
[queries.p95]
source = "main"
query = "p95"
baseline = "p95_stable"
title = "p95"
kind = "latency"
has_past = true

[queries.orders]
source = "shop"
query = "/orders"
title = "Orders"
kind = "business"

[queries.memory]
source = "main"
query = "memory"
title = "Memory"
"#;

#[test]
fn a_metric_can_judge() {
    let policy: Policy = toml::from_str(&format!("{POLICY}{QUERIES}")).expect("a policy");
    let rules = |metric: &str| {
        let plan = changed("traffic = 33", &format!("traffic = 33\nmetric = [{{ {metric} }}]"));
        named(&lint(&plan, &policy, None, &Facts::default()))
    };
    assert_eq!(rules("name = \"p95\""), [""; 0]);
    assert_eq!(rules("name = \"p59\""), ["unknown-query at stage[0].metric[0].name"]);
    assert_eq!(rules("name = \"memory\""), ["metric-without-limits at stage[0].metric[0]"]);
    assert_eq!(rules("name = \"memory\", roll_back_above = 90.0"), [""; 0]);
    assert_eq!(rules("name = \"orders\""), ["no-baseline at stage[0].metric[0].against"]);
    let before = "name = \"orders\", against = \"before\"";
    assert_eq!(rules(before), ["no-baseline at stage[0].metric[0].against"]);
    let other = "name = \"p95\", against = \"p50\"";
    assert_eq!(rules(other), ["no-baseline at stage[0].metric[0].against"]);
    let watched = "[[monitoring.metric]]\nname = \"CPU\"\nquery = \"cpu\"\nwarning = 80.0\n";
    let found = lint(&with(watched), &policy, None, &Facts::default());
    assert_eq!(named(&found), ["unknown-query at monitoring.metric[1].query"]);
}

#[test]
fn a_plan_asks_its_own_questions_of_known_sources_only() {
    const SOURCES: &str =
        "[metrics.main]\nhas_past = true\n[metrics.mainframe]\nis_program = true\n";
    let policy: Policy = toml::from_str(&format!("{POLICY}{QUERIES}{SOURCES}")).expect("a policy");
    let rules = |own: &str| {
        let metric = "traffic = 33\nmetric = [{ name = \"carts\", hold_above = 5.0 }]";
        let plan = PLAN.replace("traffic = 33", metric);
        let plan = toml::from_str(&format!("{plan}[queries.carts]\n{own}")).expect("a plan");
        named(&lint(&plan, &policy, None, &Facts::default()))
    };
    let good = "source = \"main\"\nquery = 'rate(carts{v=\"{version}\"}[1m])'\n";
    assert_eq!(rules(good), [""; 0]);
    assert_eq!(rules("source = \"ci\"\n"), [""; 0]);
    assert_eq!(rules("source = \"mainframe\"\nquery = \"carts:{version}\"\n"), [""; 0]);
    for (own, rule) in [
        ("query = \"carts\"\n", "unknown-source at queries.carts"),
        ("source = \"mian\"\nquery = \"carts\"\n", "unknown-source at queries.carts.source"),
        ("source = \"main\"\n", "no-query at queries.carts"),
        ("source = \"main\"\nquery = \" \"\n", "no-query at queries.carts.query"),
        ("source = \"ci\"\nquery = \"carts\"\n", "query-of-ci at queries.carts.query"),
        (
            "source = \"main\"\nquery = \"{verison}\"\n",
            "unknown-placeholder at queries.carts.query",
        ),
        ("source = \"mainframe\"\nquery = \"--all\"\n", "bad-value at queries.carts.query"),
    ] {
        assert!(rules(own).contains(&rule.to_owned()), "{own}: {:?}", rules(own));
    }
    let taken = format!("{good}[queries.memory]\nsource = \"main\"\nquery = \"up\"\n");
    assert_eq!(rules(&taken), ["query-taken at queries.memory"]);
    let plan: Plan = toml::from_str(&format!("{PLAN}[queries.memory]\n{good}")).expect("a plan");
    let asked = super::super::metric::Queries::of(&plan, &policy).get("memory");
    assert_eq!(asked.expect("one").query, "memory", "the configuration's word counts");
}

#[test]
fn at_everybody_nobody_is_left_to_compare_with() {
    let policy: Policy = toml::from_str(&format!("{POLICY}{QUERIES}")).expect("a policy");
    let rules = |metric: &str| {
        let plan = changed("traffic = 100", &format!("traffic = 100\nmetric = [{{ {metric} }}]"));
        named(&lint(&plan, &policy, None, &Facts::default()))
    };
    assert_eq!(rules("name = \"p95\""), ["no-stable-group at stage[1].metric[0].against"]);
    assert_eq!(rules("name = \"p95\", against = \"before\""), [""; 0]);
    assert_eq!(rules("name = \"p95\", hold_above = 500.0"), [""; 0]);
}

#[test]
fn there_is_time_to_decide_in_and_an_audience_to_tell() {
    let rules = |more: &str| rules(&changed("traffic = 33", &format!("traffic = 33\n{more}")));
    assert_eq!(rules("decide_by = \"9m\""), [""; 0]);
    for by in ["8m", "1m"] {
        let found = rules(&format!("decide_by = \"{by}\""));
        assert_eq!(found, ["decide-by-too-early at stage[0].decide_by"]);
    }
    assert_eq!(rules("notice = \"customers\"\nfeedback = \"How is it?\""), [""; 0]);
    assert_eq!(rules("notice = \"custmers\""), ["unknown-audience at stage[0].notice"]);
    assert_eq!(rules("feedback = \"How is it?\""), ["feedback-unasked at stage[0].feedback"]);
}

#[test]
fn what_goes_back_by_itself_has_something_that_turns_red() {
    let plan = changed("[rollback]", "[rollback]\nautomatic = true");
    assert_eq!(rules(&plan), ["nothing-turns-red at rollback.automatic"]);
}

const FLAG: &str = "[[flag]]\nname = \"search\"\nowner = \"john\"\nexpires = \"2027-01-01\"\n\
                    tested_on = \"staging\"\ntested_off = \"staging\"\n";

/// The plan's second pod as a stage that opens a flag instead.
fn flagged(flag: &str, share: &str) -> Plan {
    let pod = "action = \"deploy\"\nwith = { pod = \"2\" }\ntraffic = 100";
    assert!(PLAN.contains(pod));
    toml::from_str(&format!("{}{FLAG}", PLAN.replace(pod, &format!("{flag}\n{share}"))))
        .expect("a plan")
}

fn with_providers(names: &[(&str, bool)]) -> Policy {
    let mut policy = policy();
    policy.actions.extend(super::super::flag::actions());
    for (name, whole_percents) in names {
        let own = super::super::policy::FlagProvider { whole_percents: *whole_percents };
        policy.flags.insert((*name).to_owned(), own);
    }
    policy
}

#[test]
fn a_stage_opens_a_flag_that_somebody_keeps_for_a_share_that_they_can_set() {
    let judged = |plan: &Plan, providers: &[(&str, bool)]| {
        named(&lint(plan, &with_providers(providers), None, &Facts::default()))
    };
    let (flag, whole) = ("flag = \"search\"", "traffic = 100");
    let one = [("local", false)];
    assert_eq!(judged(&flagged(flag, whole), &one), [""; 0]);
    assert_eq!(rules(&flagged(flag, whole)), ["no-flag-provider at stage[1].flag"]);
    assert_eq!(judged(&flagged("", whole), &one), ["stage-does-nothing at stage[1].name"]);
    let two = [("local", false), ("unleash", true)];
    assert_eq!(judged(&flagged(flag, whole), &two), ["flag-without-provider at flag[0].name"]);
    assert_eq!(judged(&flagged(flag, ""), &one)[0], "flag-without-share at stage[1].flag");
    let part = flagged(flag, "traffic = 99.5");
    assert!(!judged(&part, &one).iter().any(|rule| rule.starts_with("flag-fraction")));
    let wrong = judged(&part, &[("unleash", true)]);
    assert_eq!(wrong[0], "flag-fraction at stage[1].traffic");
    let mut other = flagged(flag, whole);
    other.flags[0].provider = Some("unleesh".into());
    assert_eq!(judged(&other, &two), ["unknown-flag-provider at flag[0].provider"]);
}

#[test]
fn flags_are_the_whole_way_back_only_of_what_flags_opened() {
    let policy = with_providers(&[("local", false)]);
    let judged = |plan: &Plan| named(&lint(plan, &policy, None, &Facts::default()));
    let mut plan = flagged("flag = \"search\"", "traffic = 100");
    let back = plan.rollback.as_mut().expect("a way back");
    back.flags_suffice = true;
    assert_eq!(judged(&plan), ["idle-rollback-steps at rollback.flags_suffice"]);
    plan.rollback.as_mut().expect("a way back").steps.clear();
    assert_eq!(judged(&plan), [""; 0]);
    plan.stages.pop();
    assert!(judged(&plan).contains(&"flags-do-not-suffice at rollback.flags_suffice".to_owned()));
}

#[test]
fn an_expiry_that_counts_from_the_start_is_judged_with_it() {
    let flag = |expires: &str| {
        with(&format!(
            "[[flag]]\nname = \"search\"\nowner = \"john\"\nexpires = \"{expires}\"\n\
             tested_on = \"staging\"\ntested_off = \"staging\"\n"
        ))
    };
    let judged = |expires: &str| {
        let start = start("2026-12-15 10:00");
        named(&lint(&flag(expires), &policy(), Some(&start), &Facts::default()))
    };
    assert!(!judged("T+14d").iter().any(|rule| rule.starts_with("flag-outlives")));
    assert!(judged("T+40d").contains(&"flag-outlives at flag[0].expires".to_owned()));
    let wrong =
        toml::from_str::<Plan>(&format!("{PLAN}\n[[flag]]\nname = \"x\"\nexpires = \"soon\"\n"));
    let why = wrong.expect_err("it is no day").to_string();
    assert!(why.contains("write one such as `2027-01-31`, or `T+14d`"), "{why}");
}
