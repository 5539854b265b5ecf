//! The README tells the truth about the commands. `UPDATE_README=1 cargo test readme` writes it.

use std::fmt::Write;

use tminus::app::grammar::{self, Guide};

const FROM: &str = "<!-- commands -->\n";
const TO: &str = "<!-- /commands -->";

fn table() -> String {
    let mut table = String::new();
    for group in grammar::groups() {
        write!(table, "\n| {} | |\n|---|---|\n", group.title).unwrap();
        for verb in group.verbs {
            let guide = Guide::of(verb).expect("the help names verbs that there are");
            let example = guide.example.trim_start_matches("/release ").replace('|', "\\|");
            writeln!(table, "| `/release {example}` | {} |", guide.about).unwrap();
        }
    }
    table.push('\n');
    table
}

#[test]
fn the_readme_lists_every_command_with_an_example() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let from = text.find(FROM).expect("the README marks where the table begins") + FROM.len();
    let to = text.find(TO).expect("the README marks where the table ends");
    let table = table();
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(path, format!("{}{table}{}", &text[..from], &text[to..])).unwrap();
        return;
    }
    assert_eq!(&text[from..to], table, "write it anew: UPDATE_README=1 cargo test readme");
}
