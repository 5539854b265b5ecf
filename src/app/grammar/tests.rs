//! Every verb, every form of words, every mistake.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn words(line: &str) -> Vec<String> {
    tokens::split(line)
}

fn fields(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn wrong(line: &str) -> String {
    parse(line).expect_err("it is wrong").to_string()
}

#[test]
fn clap_accepts_its_own_definition() {
    command().clone().debug_assert();
}

#[test]
fn every_verb_is_in_one_group_of_the_help_with_an_example_that_parses() {
    let mut grouped: Vec<&str> = groups().iter().flat_map(|g| g.verbs.iter().copied()).collect();
    grouped.sort_unstable();
    let mut verbs: Vec<&str> = command().get_subcommands().map(clap::Command::get_name).collect();
    verbs.sort_unstable();
    assert_eq!(grouped, verbs);
    for spec in specification() {
        let guide = Guide::of(&spec.name).expect("each has a guide");
        assert!(!guide.about.is_empty() && !guide.about.ends_with('.'), "{}", spec.name);
        assert!(guide.example.starts_with(&spec.name), "{}: {}", spec.name, guide.example);
        let said = parse(&guide.example).expect("examples parse");
        let again = parse(&format!("/release {}", guide.example)).expect("also as typed");
        assert_eq!(said, again);
        for argument in &spec.arguments {
            assert!(!argument.about.is_empty(), "{} {}", spec.name, argument.name);
        }
    }
}

/// The words under which the log keeps what a person asked.
#[test]
fn every_command_that_a_person_can_ask_has_its_verb() {
    let verbs: BTreeSet<String> = specification().into_iter().map(|spec| spec.name).collect();
    for verb in [
        "freeze add",
        "freeze lift",
        "lock",
        "unlock",
        "schedule",
        "reschedule",
        "edit",
        "scrub",
        "checklist",
        "evidence",
        "go",
        "no-go",
        "override",
        "accept",
        "handover",
        "keep",
        "announce",
        "start",
        "update",
        "advance",
        "hold",
        "resume",
        "retry",
        "verify",
        "complete",
        "run",
        "outcome",
        "rollback",
    ] {
        assert!(verbs.contains(verb), "{verb}");
    }
}

#[test]
fn double_quotes_hold_words_together_and_apostrophes_are_text() {
    assert_eq!(
        words("hold it's \"two words\" 5\" pipes"),
        ["hold", "it's", "two words", "5\"", "pipes"]
    );
    assert_eq!(words("go\u{a0}v1.2.0 —as “release qa”"), ["go", "v1.2.0", "--as", "release qa"]);
    assert_eq!(words("hold \"never closed"), ["hold", "\"never", "closed"]);
    assert_eq!(words("x --reason=\"a b\" c"), ["x", "--reason=a b", "c"]);
    assert_eq!(words("say \"a \\\"b\\\" \\\\ c\""), ["say", "a \"b\" \\ c"]);
}

#[test]
fn single_quotes_hold_words_together_where_a_word_begins_with_one() {
    assert_eq!(
        words("freeze add 'fri 18:00' 'mon 8:00'"),
        ["freeze", "add", "fri 18:00", "mon 8:00"]
    );
    assert_eq!(
        words("x --reason='two words' ‘three more words’"),
        ["x", "--reason=two words", "three more words"]
    );
    assert_eq!(words("hold 'it's fine' he said"), ["hold", "it's fine", "he", "said"]);
    for text in ["hold it's fine", "hold 'tis late", "hold the dogs' bowls", "hold 5' pipes"] {
        assert_eq!(words(text).join(" "), text, "apostrophes are text");
    }
    // Nobody could tell this from a quote; it costs two apostrophes and no word.
    assert_eq!(words("hold 'tis the dogs' fault"), ["hold", "tis the dogs", "fault"]);
}

#[test]
fn words_are_written_so_that_they_read_back() {
    for list in [
        vec!["hold", "", "it is \"very\" slow"],
        vec!["x", "--reason=a b", "--to=c"],
        vec!["x", "back\\slash and \"quote\""],
        vec!["x", "“smart”"],
        vec!["x", "'tis", "dogs'", "it's 'x"],
        vec!["x", "--reason='tis", "late'"],
    ] {
        let list: Vec<String> = list.into_iter().map(str::to_owned).collect();
        let again = words(&line(&list));
        assert_eq!(again, list.iter().map(|w| w.replace(['“', '”'], "\"")).collect::<Vec<_>>());
    }
}

#[test]
fn the_first_word_is_the_release_only_if_it_is_one() {
    let hold = |line: &str| match parse(line) {
        Ok(Verb::Hold { release, reason }) => (release.unwrap_or_default(), text(&reason)),
        other => panic!("{other:?}"),
    };
    assert_eq!(hold("hold v1.2.0 p95 is -5% off"), ("v1.2.0".into(), "p95 is -5% off".into()));
    assert_eq!(hold("hold p95 doubled"), (String::new(), "p95 doubled".into()));
    assert_eq!(hold("hold web-shop/production/v1.2.0#1 x").0, "web-shop/production/v1.2.0#1");
    assert_eq!(hold("hold -- --as is text"), (String::new(), "--as is text".into()));
    let known = |word: &str| word == "web-shop";
    let said = read("hold web-shop it burns", &known).expect("it parses");
    let expected =
        Verb::Hold { release: Some("web-shop".into()), reason: vec!["it".into(), "burns".into()] };
    assert_eq!(said.verb, expected);
}

#[test]
fn options_stand_anywhere() {
    let expected = Verb::NoGo {
        release: Some("v1.2.0".into()),
        reason: vec!["no".into(), "hotline".into()],
        because: None,
        role: Some("support".into()),
        revision: Some(2),
    };
    for line in [
        "no-go v1.2.0 no hotline --as support --revision 2",
        "No Go --as support v1.2.0 no hotline --revision=2",
        "nogo --revision 2 --as=support v1.2.0 no hotline",
    ] {
        assert_eq!(parse(line), Ok(expected.clone()), "{line}");
    }
}

#[test]
fn choices_are_never_taken_for_a_release() {
    assert!(matches!(
        parse("checklist pass rollback rehearsed"),
        Ok(Verb::Checklist { act: Some(Act::Pass), item, .. }) if item.len() == 2
    ));
    assert!(matches!(
        parse("evidence staging pass-with-warnings --note \"slow\""),
        Ok(Verb::Evidence { kind: Some(_), result: Some(Found::PassWithWarnings), .. })
    ));
    assert!(matches!(
        parse("outcome v1.2.0 worked it answers"),
        Ok(Verb::Outcome { release: Some(_), ended: Some(Ended::Worked), .. })
    ));
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let lines = [
        "",
        "shedule v1.2.0",
        "nogoo",
        "xyzzy",
        "go v1.2.0 --ass qa",
        "no-go --reson x",
        "checklist v1.2.0 tick x",
        "advance --stage two",
        "go --as",
        "status v1.2.0 v1.3.0",
        "freeze ad",
        "cancle it",
    ];
    insta::assert_snapshot!(lines.map(wrong).join("\n"), @r"
    Say what you want: `/release help` lists the verbs.
    I don't know `/release shedule`. Did you mean `schedule`?
    I don't know `/release nogoo`. Did you mean `no-go`?
    I don't know `/release xyzzy`. `/release help` lists the verbs.
    `go` has no option `--ass`. Did you mean `--as`? Its only option is `--as`.
    `no-go` has no option `--reson`. Did you mean `--reason`? Its only option is `--as`.
    `tick` is none of `show`, `pass`, `fail`, `waive` or `reopen`.
    `two` is not a number, and `--stage` needs one.
    `--as` needs a value.
    I don't know what to do with `v1.3.0` after `status`.
    `ad` is none of `list`, `add` or `lift`. Did you mean `add`?
    I don't know `/release cancle`. Did you mean `scrub`?
    ");
    let example = parse("evidence v1.2.0 stagin pass").expect_err("it is wrong").example();
    let right = "/release evidence v1.2.0 staging pass --link https://ci.example/812";
    assert_eq!(example.as_deref(), Some(right));
}

#[test]
fn a_form_fills_the_arguments_of_its_line() {
    let filled = |line: &str, with: &[(&str, &str)]| {
        let said = read(line, &looks_like_a_release).expect("the line parses");
        super::line(&fill(&said.words, &fields(with)).expect("it can be filled"))
    };
    assert_eq!(
        filled("no-go v1.2.0 --as qa --revision 3", &[("reason", " two  failed\nsee \"CI\" ")]),
        "no-go --as=qa --revision=3 v1.2.0 \"two  failed\nsee \\\"CI\\\"\""
    );
    assert_eq!(filled("hold", &[("reason", "-5% sales")]), "hold -- \"\" \"-5% sales\"");
    assert_eq!(filled("rollback v1.2.0", &[("confirmed", "true")]), "rollback --confirmed v1.2.0");
    assert_eq!(
        filled("run health", &[("with", "pod=2 x=\"a b\"")]),
        "run \"\" health pod=2 \"x=a b\""
    );
    assert_eq!(
        filled("freeze add", &[("from", "fri 18:00"), ("until", "mon 8:00"), ("reason", "w")]),
        "freeze add \"fri 18:00\" \"mon 8:00\" w"
    );
    let said = read("hold -- \"\" \"-5% sales\"", &looks_like_a_release).expect("it reads back");
    assert_eq!(
        said.verb,
        Verb::Hold { release: Some(String::new()), reason: vec!["-5% sales".into()] }
    );
}

#[test]
fn help_is_a_flag_too() {
    assert_eq!(parse("hold --help"), Ok(Verb::Help { verb: vec!["hold".into()] }));
    let guide = Guide::of("rollback").expect("there is one");
    assert_eq!(guide.usage, "rollback [RELEASE] [--dry-run] [--reason REASON]");
    assert_eq!(
        Guide::of("freeze add").expect("there is one").usage,
        "freeze add FROM UNTIL REASON… [--service SERVICE] [--environment ENVIRONMENT]"
    );
}

#[test]
fn the_specification_is_neutral() {
    let specs = specification();
    let go = specs.iter().find(|spec| spec.name == "go").expect("it is there");
    let names: Vec<_> = go.arguments.iter().map(|a| (a.name.as_str(), a.completes)).collect();
    assert_eq!(names, [("release", Some(Choose::Release)), ("as", Some(Choose::Role))]);
    let audit = specs.iter().find(|spec| spec.name == "audit").expect("it is there");
    assert_eq!(audit.arguments[1].kind, Type::Int);
    let rollback = specs.iter().find(|spec| spec.name == "rollback").expect("it is there");
    assert_eq!(rollback.arguments[1].kind, Type::Bool);
    // Discord takes no longer descriptions.
    assert!(specs.iter().all(|spec| spec.about.chars().count() <= 100));
}

#[test]
fn no_line_panics() {
    for line in ["\"", "“", "--", "- -", "go --as=", "\\", "no", "no go", "freeze", "help help"] {
        let _ = parse(line);
    }
}

#[test]
fn a_line_is_told_by_the_names_of_what_is_given() {
    let told = |line: &str| {
        let (verb, given) = named(line).expect("it can be said");
        let given = given.iter().map(|(name, value)| format!(" {name}:{value}"));
        verb + &given.collect::<String>()
    };
    for (line, wanted) in [
        ("rollback v1.2.0", "rollback release:v1.2.0"),
        ("hold", "hold"),
        ("no-go v1.2.0 --as qa \"why not\"", "no-go release:v1.2.0 reason:why not as:qa"),
        ("no-go \"it is slow\"", "no-go reason:it is slow"),
        ("checklist v1.2.0 pass --item runbook", "checklist release:v1.2.0 act:pass item:runbook"),
        ("freeze lift 7 \"over\"", "freeze lift id:7 reason:over"),
    ] {
        assert_eq!(told(line), wanted);
    }
    assert_eq!(named("make coffee"), None);
}

/// Discord takes twenty-five: what is near, each group, and the group of all that is far. One more
/// and the last, which is the help, would be pushed out of sight.
#[test]
fn what_is_near_fits_where_only_twenty_five_do() {
    let specs = specification();
    let (single, double): (Vec<_>, Vec<_>) = specs.iter().partition(|it| !it.name.contains(' '));
    let groups: BTreeSet<_> = double.iter().filter_map(|it| it.name.split(' ').next()).collect();
    let near: Vec<_> = single.iter().filter(|it| it.near).map(|it| it.name.as_str()).collect();
    assert!(near.len() + groups.len() < 25, "{} of {near:?}", near.len());
    for hurried in ["help", "status", "go", "no-go", "hold", "rollback", "red", "step-back"] {
        assert!(near.contains(&hurried), "{hurried}");
    }
}
