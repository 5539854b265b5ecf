//! The plans that ship with the program: each is sound, can be scheduled as it is, and comes to its
//! end.

use std::path::Path;

use crate::installed::Installed;
use crate::program::Program;

const PLANS: [&str; 10] = [
    "blue-green",
    "canary",
    "direct",
    "flag",
    "flag-quick",
    "flag-slow",
    "recreate",
    "rolling",
    "steps",
    "team-first",
];

fn file(name: &str) -> String {
    format!("config/plans/{name}.toml")
}

#[tokio::test]
async fn every_template_is_sound_and_comes_to_its_end() {
    let here = Installed::demo();
    for name in PLANS {
        let checked = here.cli(&["check", &file(name)]).await.expect(0, &["can be scheduled"]);
        assert!(!checked.out.contains("refused"), "{checked:?}");
        let rehearsed = here.cli(&["rehearse", &file(name), "--json"]).await.expect(0, &[]);
        let rehearsed = rehearsed.json();
        assert_eq!(rehearsed["launched"], true, "{name}");
        assert_eq!(rehearsed["result"]["state"], "DEPLOYED", "{name}: {rehearsed:#}");
        assert_ne!(rehearsed["result"]["outcome"], "FAILED", "{name}: {rehearsed:#}");
    }
}

#[tokio::test]
async fn every_template_can_be_chosen_by_its_name() {
    let program = Program::start().await;
    for (nth, name) in PLANS.iter().enumerate() {
        let line = format!("schedule {name} in {}h --version v2.{nth}.0", 73 + nth);
        let answer = program.say("maria", &line).await;
        assert!(answer.contains(&format!("v2.{nth}.0 is scheduled")), "{name}: {answer}");
    }
}

#[test]
fn all_of_them_are_here() {
    let found = std::fs::read_dir("config/plans").unwrap();
    let mut found: Vec<_> = found
        .map(|entry| {
            Path::new(&entry.unwrap().file_name()).with_extension("").display().to_string()
        })
        .filter(|name| !name.starts_with("web-shop"))
        .collect();
    found.sort();
    assert_eq!(found, PLANS);
}
