//! What the configuration promises, tried on real files.

use super::*;

fn around() -> Surroundings {
    Surroundings {
        state: Some("/var/lib/tminus".into()),
        own_program: "/usr/bin/tminus".into(),
        demo_url: Some("http://127.0.0.1:7171".into()),
    }
}

fn nothing(_: &str) -> Option<String> {
    None
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

fn demo() -> Config {
    load(None, &around(), &nothing).unwrap_or_else(|problems| panic!("{}", told(&problems)))
}

#[test]
fn shipped() {
    let config = demo();
    for plan in &config.plans {
        let found = crate::domain::lint::lint(&plan.plan, &config.policy, None, &Default::default());
        for f in found { println!("{} {:?} {} {} at {:?} line {:?}", plan.name, f.severity, f.rule, f, f.at, f.at.as_ref().and_then(|a| line_of(&plan.text, a))); }
        println!("{:?}", crate::domain::lint::risk(&plan.plan));
    }
    println!("{}", config.policy.actions[&"deploy".into()].shows);
}
