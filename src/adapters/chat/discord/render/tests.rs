//! What any message becomes, at the edges of what Discord takes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::buttons::carry;
use super::*;
use crate::ports::{Button, Field, FieldKind, Form, Style};

fn shelf() -> (tempfile::TempDir, Shelf) {
    let folder = tempfile::tempdir().expect("a folder");
    let shelf = Shelf::open(&folder.path().join("buttons.jsonl")).expect("a new file");
    (folder, shelf)
}

fn text(text: &str) -> Inline {
    Inline::Text(text.to_owned())
}

fn said(inlines: Vec<Inline>) -> String {
    write(&runs(&inlines))
}

fn paragraphs(all: &[&str]) -> Message {
    let body = all.iter().map(|words| Block::Paragraph(vec![text(words)])).collect();
    Message { body, ..Message::default() }
}

const MARK: &str = "https://discord.com/app#tminus-0123456789ab";

/// Of all parts of a message.
fn bodies(of: &Message) -> Vec<Value> {
    let (_folder, shelf) = shelf();
    let parts = message(of, &shelf).expect("it fits");
    parts.iter().map(|part| part.body(Some(MARK))).collect()
}

fn check(body: &Value) {
    let size = |pointer: &str| length(body.pointer(pointer).and_then(Value::as_str).unwrap_or(""));
    assert!(size("/content") <= CONTENT, "{}", size("/content"));
    let (description, footer) = (size("/embeds/0/description"), size("/embeds/0/footer/text"));
    assert!(description <= 4_096 && description + footer <= 6_000, "{description}");
    let rows = body["components"].as_array().expect("a list");
    assert!(rows.len() <= 5);
    let mut ids = BTreeSet::new();
    for row in rows {
        let buttons = row["components"].as_array().expect("a list");
        assert!((1..=5).contains(&buttons.len()));
        for button in buttons {
            let id = button["custom_id"].as_str().expect("a text");
            let label = button["label"].as_str().expect("a text");
            assert!((1..=100).contains(&length(id)) && (1..=80).contains(&length(label)));
            assert!(ids.insert(id.to_owned()), "twice in one message: {id}");
        }
    }
    let allowed = &body["allowed_mentions"];
    assert_eq!(allowed["parse"], json!([]), "nobody but those who are named");
    for kind in ["users", "roles"] {
        assert!(allowed[kind].as_array().expect("a list").len() <= 100);
    }
}

#[test]
fn the_lead_is_the_text_and_the_rest_is_below() {
    let message = Message { tone: Tone::Bad, ..paragraphs(&["It is held.", "p95 doubled."]) };
    let [body] = &bodies(&message)[..] else { panic!("one part") };
    assert_eq!(body["content"], "It is held.");
    assert_eq!(body["embeds"][0]["description"], "p95 doubled.");
    assert_eq!(body["embeds"][0]["color"], 0xE0_1E_5A);
    assert_eq!(body["embeds"][0]["url"], MARK);
}

#[test]
fn no_mark_is_seen_and_an_embed_that_would_be_empty_has_our_name() {
    let shown = |body: &Value| {
        let embed = body["embeds"][0].as_object().expect("one");
        embed.iter().filter(|(name, _)| *name != "url").map(|it| it.1.to_string()).collect()
    };
    for (all, embed) in [(&["Pod 1 is up."][..], "tminus"), (&["It is held.", "Why."], "Why.")] {
        let [body] = &bodies(&paragraphs(all))[..] else { panic!("one part") };
        let shown: String = shown(body);
        assert!(!shown.contains("0123456789ab") && shown.contains(embed), "{shown}");
        assert!(!body["content"].as_str().expect("a text").contains("0123456789ab"));
    }
}

#[test]
fn stored_text_neither_pings_nor_formats() {
    for (stored, shown) in [
        ("@everyone look", "@\u{200b}everyone look"),
        ("@here <@&42> <@7>", "@\u{200b}here \\<\u{200b}@&42\\> \\<\u{200b}@7\\>"),
        (
            "`rm` **x** __y__ ~~z~~ ||s||",
            "\\`rm\\` \\*\\*x\\*\\* \\_\\_y\\_\\_ \\~\\~z\\~\\~ \\|\\|s\\|\\|",
        ),
        ("[bank](https://evil.example)", "\\[bank\\](<https://evil.example>)"),
        ("# big\n- item\n1. one\n> said", "\\# big\n\\- item\n1\\. one\n\\> said"),
        ("1.2.0 is - fine #5", "1\\.2.0 is - fine #5"),
        ("see https://x.example/a_b_c?d=*1.", "see <https://x.example/a_b_c?d=>\\*1."),
        (
            "<t:1:R> <#5> <:x:1> a < b",
            "\\<\u{200b}t:1:R\\> \\<\u{200b}#5\\> \\<\u{200b}:x:1\\> a \\< b",
        ),
        ("\\*", "\\\\\\*"),
    ] {
        assert_eq!(said(vec![text(stored)]), shown);
    }
}

#[test]
fn what_we_mean_is_markup() {
    let time = Inline::Time { at: 1_700_000_000, text: "Tue".into() };
    assert_eq!(said(vec![time]), "<t:1700000000:F> (<t:1700000000:R>)");
    assert_eq!(said(vec![Inline::Code("a`b\nc".into())]), "`aˋb c`");
    let channel = |id: &str| Inline::Channel { id: id.into(), name: "ops".into() };
    assert_eq!(said(vec![channel("5"), text(" "), channel("C1")]), "<#5> #ops");
    let nested = vec![
        Inline::Strong(vec![text("a "), Inline::Emphasis(vec![text("b")])]),
        Inline::Emphasis(vec![text("c")]),
    ];
    assert_eq!(said(nested), "**a *b***\u{200b}*c*");
}

#[test]
fn a_link_goes_to_the_web_and_says_where() {
    let link =
        |url: &str, name: &str| said(vec![Inline::Link { url: url.into(), text: name.into() }]);
    assert_eq!(link("https://x.example/a", "run [7]"), "[run \\[7\\]](<https://x.example/a>)");
    assert_eq!(link("https://x.example/(a)>", "it"), "[it](<https://x.example/%28a%29%3E>)");
    assert_eq!(link("https://x.example/", "https://x.example/"), "<https://x.example/>");
    let lie = link("https://evil.example/", "https://bank.example/");
    assert_eq!(lie, "<https://bank.example/> (<https://evil.example/>)");
    assert_eq!(link("javascript:alert(1)", "it"), "it");
}

#[test]
fn who_must_act_is_called_in_the_text_and_nobody_else_is() {
    let mention = |id: &str| Inline::Mention { id: id.into(), name: "ann".into() };
    let body = vec![
        Block::Paragraph(vec![text("Sign, "), mention("7"), text(". @everyone <@9>")]),
        Block::List(vec![vec![mention("&42")], vec![mention("7")], vec![mention("U1")]]),
    ];
    let [body] = &bodies(&Message { body, ..Message::default() })[..] else { panic!("one") };
    assert_eq!(body["content"], "Sign, <@7>. @\u{200b}everyone \\<\u{200b}@9\\>\n<@&42>");
    assert_eq!(body["embeds"][0]["description"], "- <@&42>\n- <@7>\n- @ann");
    let allowed = &body["allowed_mentions"];
    assert_eq!((&allowed["users"], &allowed["roles"]), (&json!(["7"]), &json!(["42"])));
}

#[test]
fn a_hundred_and_more_are_called_in_more_than_one_message() {
    let mention = |n: u64| Inline::Mention { id: (10_000 + n).to_string(), name: "x".into() };
    let body = vec![
        Block::Paragraph(vec![text("All of you:")]),
        Block::Paragraph((0..250).map(mention).collect()),
    ];
    let bodies = bodies(&Message { body, ..Message::default() });
    let called = |body: &Value| body["allowed_mentions"]["users"].as_array().map_or(0, Vec::len);
    assert_eq!(bodies.iter().map(called).sum::<usize>(), 250);
    bodies.iter().for_each(check);
}

#[test]
fn a_table_is_read_on_a_telephone() {
    let row = |cells: [&str; 3]| cells.map(|cell| vec![text(cell)]).to_vec();
    let table =
        Block::Table { head: row(["Step", "Took", "By"]), rows: vec![row(["Pod", "2 s", "ann"])] };
    let body = vec![Block::Paragraph(vec![text("Done.")]), table];
    let [body] = &bodies(&Message { body, ..Message::default() })[..] else { panic!("one") };
    assert_eq!(body["embeds"][0]["description"], "- **Pod** — Took: 2 s · By: ann");
}

#[test]
fn code_cannot_leave_its_fence() {
    let body = vec![Block::Code("a\n```\n@everyone".into())];
    let [body] = &bodies(&Message { body, ..Message::default() })[..] else { panic!("one") };
    let content = body["content"].as_str().expect("a text");
    assert_eq!(content.matches("```").count(), 2, "{content}");
}

#[test]
fn more_than_a_message_is_split_and_more_than_a_document_refused() {
    let long = paragraphs(&["lead", &"word ".repeat(2_000)]);
    let bodies = bodies(&long);
    assert!(bodies.len() > 1);
    bodies.iter().for_each(check);
    let words = |body: &Value| {
        let text = body["embeds"][0]["description"].as_str().unwrap_or("").to_owned();
        text.matches("word").count()
    };
    assert_eq!(bodies.iter().map(words).sum::<usize>(), 2_000, "nothing is lost");
    let (_folder, shelf) = shelf();
    assert!(message(&paragraphs(&[&"x".repeat(50_000)]), &shelf).is_err());
    let one = single(&long, &shelf).expect("cut").body(None);
    check(&one);
    assert!(one["embeds"][0]["description"].as_str().is_some_and(|it| it.contains("too long")));
}

fn button(command: &str) -> Button {
    Button { label: "Go".into(), command: command.into(), style: Style::Plain }
}

#[test]
fn a_button_carries_its_line_however_long_it_is() {
    let (folder, shelf) = shelf();
    let lines = ["go v1", &"x".repeat(97), &"x".repeat(98), &"ü".repeat(2_000)];
    for line in lines {
        let id = carry(Kind::Press, 7, line, &shelf).expect("kept");
        assert!(length(&id) <= 100);
        let again = Shelf::open(&folder.path().join("buttons.jsonl")).expect("after a restart");
        let back = carried(&id, &again).expect("known");
        assert_eq!((back.kind, back.text.as_str()), (Kind::Press, line));
    }
    for wrong in ["", "p", "x1:go", "p1#gone", "ü", "p1"] {
        assert_eq!(carried(wrong, &shelf), None, "{wrong}");
    }
}

#[test]
fn twenty_five_buttons_fit_and_one_more_does_not() {
    let (_folder, shelf) = shelf();
    let with = |rows: usize, each: usize| Message {
        buttons: vec![vec![button("go"); each]; rows],
        ..paragraphs(&["x"])
    };
    for (rows, each) in [(5, 5), (1, 25), (25, 1), (3, 7)] {
        check(&message(&with(rows, each), &shelf).expect("they fit")[0].body(None));
    }
    assert!(message(&with(26, 1), &shelf).is_err());
}

fn field(kind: FieldKind) -> Field {
    Field {
        name: "reason".into(),
        label: "Why, so that somebody can do something about it now".into(),
        hint: "short".into(),
        kind,
        required: true,
        value: "v".repeat(5_000),
        problem: String::new(),
    }
}

fn form(fields: Vec<Field>) -> Form {
    Form {
        title: "No-go for a release with a very long title indeed, really".into(),
        text: vec![Block::Paragraph(vec![text("What happens then.")])],
        command: "no-go v1 ".to_owned() + &"x".repeat(200),
        fields,
        submit: "Sign".into(),
        style: Style::Danger,
    }
}

fn choices() -> FieldKind {
    FieldKind::Choice(vec![("qa".into(), "Quality".into()), ("ops".into(), "Operations".into())])
}

#[test]
fn a_form_is_a_dialog_that_discord_takes_and_finds_its_way_back() {
    let (_folder, shelf) = shelf();
    let asked = ask(&form(vec![field(FieldKind::Paragraph), field(choices())]), &shelf);
    let Ok(Asking::Dialog(data)) = asked else { panic!("{asked:?}") };
    assert!(length(data["title"].as_str().expect("a text")) <= 45);
    let rows = data["components"].as_array().expect("a list");
    assert_eq!(rows.len(), 2);
    for row in rows {
        let input = &row["components"][0];
        assert!(length(input["label"].as_str().expect("a text")) <= 45);
        assert!(length(input["value"].as_str().expect("a text")) <= 4_000);
        assert!(length(input["placeholder"].as_str().expect("a text")) <= 100);
    }
    let id = data["custom_id"].as_str().expect("a text");
    let back = carried(id, &shelf).expect("known");
    let kept: Form = serde_json::from_str(&back.text).expect("the form");
    assert_eq!((back.kind, &kept.command), (Kind::Fill, &form(Vec::new()).command));
    let said = BTreeMap::from([("reason".to_owned(), " operations".to_owned())]);
    assert_eq!(filled(&kept, said)["reason"], "ops", "its name will do");
}

#[test]
fn what_is_only_confirmed_or_chosen_needs_no_dialog() {
    let (_folder, shelf) = shelf();
    let Ok(Asking::Message(part)) = ask(&form(Vec::new()), &shelf) else { panic!("a question") };
    let body = part.body(None);
    check(&body);
    assert_eq!(body["components"][0]["components"][0]["style"], 4);
    assert_eq!(body["embeds"][0]["description"], "What happens then.");
    let Ok(Asking::Message(part)) = ask(&form(vec![field(choices())]), &shelf) else {
        panic!("a list")
    };
    let list = &part.body(None)["components"][0]["components"][0];
    assert_eq!((&list["type"], &list["options"][1]["value"]), (&json!(3), &json!("ops")));
    let six = ask(&form(vec![field(FieldKind::Line); 6]), &shelf);
    assert_eq!(six, Ok(Asking::TooMuch));
}

#[test]
fn a_form_that_is_too_long_shows_what_matters_and_keeps_the_rest() {
    let (_folder, shelf) = shelf();
    let named = |name: &str, required: bool, problem: &str| Field {
        name: name.to_owned(),
        value: format!("{name} before"),
        required,
        problem: problem.to_owned(),
        ..field(FieldKind::Line)
    };
    let mut fields: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| named(name, false, "")).into();
    fields.extend([named("f", true, ""), named("g", false, "too late")]);
    let form = form(fields);
    let Ok(Asking::Dialog(dialog)) = ask(&form, &shelf) else { panic!("a dialog") };
    let rows = dialog["components"].as_array().expect("rows");
    let names: Vec<_> = rows.iter().map(|row| &row["components"][0]["custom_id"]).collect();
    assert_eq!(names, ["a", "b", "c", "f", "g"]);
    let said = BTreeMap::from([("a".to_owned(), String::new()), ("f".to_owned(), "x".to_owned())]);
    let said = filled(&form, said);
    assert_eq!((said["a"].as_str(), said["f"].as_str(), said["d"].as_str()), ("", "x", "d before"));
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,60}",
        "[a-z@<>`*_|\\[\\]()#\\-\n :/.\\\\]{0,200}",
        "([a-z]{1,12} ){0,900}",
        "[\u{1F600}-\u{1F64F}@*]{0,3000}",
        "https://[a-z./_?=&()*]{0,300}",
    ]
}

fn any_inline() -> impl Strategy<Value = Inline> {
    let leaf = prop_oneof![
        4 => any_text().prop_map(Inline::Text),
        1 => any_text().prop_map(Inline::Code),
        1 => Just(Inline::Break),
        1 => (any_text(), any_text()).prop_map(|(url, text)| Inline::Link { url, text }),
        1 => any::<u32>().prop_map(|at| Inline::Time { at: at.into(), text: "x".into() }),
        1 => "&?[0-9]{1,19}".prop_map(|id| Inline::Mention { id, name: "ann".into() }),
        1 => "[0-9]{1,19}".prop_map(|id| Inline::Channel { id, name: "ops".into() }),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        let inner = proptest::collection::vec(inner, 0..3);
        prop_oneof![inner.clone().prop_map(Inline::Strong), inner.prop_map(Inline::Emphasis),]
    })
}

fn any_message() -> impl Strategy<Value = Message> {
    let line = || proptest::collection::vec(any_inline(), 0..4);
    let cells = || proptest::collection::vec(line(), 0..4);
    let block = prop_oneof![
        line().prop_map(Block::Heading),
        line().prop_map(Block::Paragraph),
        line().prop_map(Block::Quote),
        cells().prop_map(Block::List),
        any_text().prop_map(Block::Code),
        (cells(), proptest::collection::vec(cells(), 0..3))
            .prop_map(|(head, rows)| Block::Table { head, rows }),
    ];
    let buttons = proptest::collection::vec(proptest::collection::vec(any_text(), 0..4), 0..6);
    (proptest::collection::vec(block, 0..5), buttons).prop_map(|(body, rows)| {
        let row = |row: Vec<String>| {
            row.into_iter().map(|it| Button { label: it.clone(), ..button(&it) })
        };
        let buttons = rows.into_iter().map(|it| row(it).collect()).collect();
        Message { body, buttons, ..Message::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_message_is_one_that_discord_takes(said in any_message()) {
        let (_folder, shelf) = shelf();
        let Ok(parts) = message(&said, &shelf) else {
            prop_assert!(parts_of(pieces(&said.body), called(&said.body)).len() > MOST_PARTS);
            return Ok(());
        };
        parts.iter().for_each(|part| check(&part.body(Some(MARK))));
        let body = parts[0].body(None);
        prop_assert!(!body["content"].as_str().unwrap_or("").trim().is_empty());
        check(&single(&said, &shelf).expect("it is one of them").body(None));
    }

    #[test]
    fn a_line_is_split_below_its_limit_and_loses_no_word(
        line in proptest::collection::vec("[a-z*]{1,40}", 1..60), most in 60_usize..400,
    ) {
        let whole = line.join(" ");
        let lines = split(&[Run::text(&whole)], most);
        for line in &lines {
            prop_assert!(length(&write(line)) <= most);
        }
        let again: String = lines.iter().map(|line| write(line)).collect();
        prop_assert_eq!(again, ink::escape(&whole));
    }

    #[test]
    fn no_text_of_anybody_can_ping(text in any_text()) {
        let shown = ink::escape(&text);
        prop_assert!(!shown.contains("@everyone") && !shown.contains("@here"));
        prop_assert!(!shown.contains("<@"), "{}", shown);
    }
}

fn time() -> Inline {
    Inline::Time { at: 1_765_821_600, text: "Mon 15 Dec, 19:00 CET".to_owned() }
}

#[test]
fn how_far_away_a_time_is_is_said_once() {
    const SHOWN: &str = "<t:1765821600:F> (<t:1765821600:R>)";
    for (after, left) in [
        (" (in 45 min).", "."),
        (", in 1 h 30 min. Rollback", ". Rollback"),
        (", in 2 d", ""),
        (", in Berlin", ", in Berlin"),
        (" (in 45 minutes)", " (in 45 minutes)"),
        (" (in 45 min or so)", " (in 45 min or so)"),
        (" (now).", " (now)."),
    ] {
        assert_eq!(said(vec![time(), text(after)]), format!("{SHOWN}{left}"), "{after}");
    }
    assert_eq!(said(vec![text("Late, in 1 h")]), "Late, in 1 h", "without a time it stays");
}

#[test]
fn a_table_tells_in_a_column_of_its_own_how_far_away_it_is() {
    let cell = |words: &str| vec![text(words)];
    let table = Block::Table {
        head: vec![cell("At"), cell("In")],
        rows: vec![vec![vec![time()], cell("45 min")]],
    };
    let body = &bodies(&Message { body: vec![table], ..Message::default() })[0];
    assert_eq!(body["content"], "- **<t:1765821600:F>** — In: 45 min");
}

#[test]
fn what_is_wrong_with_a_form_is_said_first() {
    let (_folder, shelf) = shelf();
    let field = |problem: &str| Field {
        name: "on".to_owned(),
        label: "Day".to_owned(),
        hint: String::new(),
        kind: FieldKind::Date,
        required: true,
        value: "soon".to_owned(),
        problem: problem.to_owned(),
    };
    let form = |problem: &str| Form {
        title: "Schedule".to_owned(),
        text: vec![Block::Paragraph(vec![text("Put it on the calendar.")])],
        command: "schedule".to_owned(),
        fields: vec![field(problem)],
        submit: "Schedule".to_owned(),
        style: Style::Plain,
    };
    let again = |problem| modal::again(&form(problem), &shelf).expect("it fits").body(None);
    let wrong = again("Say `tue` or *so*.");
    assert_eq!(wrong["content"], "**Schedule**: not done yet.");
    let below = wrong["embeds"][0]["description"].as_str().expect("a text");
    assert_eq!(below, "- Day: Say `tue` or \\*so\\*.\n\nPut it on the calendar.");
    assert_eq!(wrong["components"][0]["components"][0]["label"], "Fill in again");
    assert_eq!(again("")["components"][0]["components"][0]["label"], "Go on");
}
