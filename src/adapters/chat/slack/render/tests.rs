//! What Slack takes, by its published schema and its limits; and that nothing is lost or misread.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::modal::{Draft, Origin};
use super::*;
use crate::ports::{Button, Field, FieldKind, Form, Inline, Message, Style};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../../tests/specs/slack/blockkit.schema.json");
    serde_json::from_str(text).expect("the published schema is JSON")
});

/// What the schema says against a value, with its place.
fn problems(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = resolved(schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        return nearest(choices, value, at);
    }
    let mut found = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(problems(part, value, at));
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number" | "integer") => value.is_number(),
        Some(other) => panic!("the schema uses `{other}`"),
        None => true,
    };
    let is_const = schema["const"].is_null() || schema["const"] == *value;
    let is_listed = schema["enum"].as_array().is_none_or(|all| all.contains(value));
    if !(fits && is_const && is_listed) {
        found.push(format!("{at}: {value} is not what it may be"));
    }
    let size = value.as_str().map(length).or_else(|| value.as_array().map(Vec::len)).unwrap_or(0);
    for (name, wrong) in [
        ("maxLength", std::cmp::Ordering::Greater),
        ("maxItems", std::cmp::Ordering::Greater),
        ("minLength", std::cmp::Ordering::Less),
        ("minItems", std::cmp::Ordering::Less),
    ] {
        let limit = schema[name].as_u64().and_then(|limit| usize::try_from(limit).ok());
        if limit.is_some_and(|limit| size.cmp(&limit) == wrong) {
            found.push(format!("{at}: {size} against {name}"));
        }
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(problems(&schema["items"], item, &format!("{at}/{number}")));
    }
    found.extend(field_problems(schema, value, at));
    found
}

fn field_problems(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(given) = value.as_object() else { return Vec::new() };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut found: Vec<String> = required
        .filter(|name| !given.contains_key(*name))
        .map(|name| format!("{at}: no `{name}`"))
        .collect();
    for (name, value) in given {
        match schema.pointer(&format!("/properties/{name}")) {
            Some(known) => found.extend(problems(known, value, &format!("{at}/{name}"))),
            None if schema["additionalProperties"] == false => {
                found.push(format!("{at}: `{name}` is unknown"));
            }
            None => {}
        }
    }
    found
}

/// Of several shapes the one of this `type`, else the one that fits best.
fn nearest(choices: &[Value], value: &Value, at: &str) -> Vec<String> {
    let mut flat: Vec<&Value> = choices.iter().flat_map(flattened).collect();
    let named = |it: &&Value| it["properties"]["type"]["const"] == value["type"];
    if flat.iter().any(named) {
        flat.retain(|it| named(it));
    }
    let each = flat.into_iter().map(|schema| problems(schema, value, at));
    each.min_by_key(Vec::len).expect("a choice has choices")
}

fn flattened(schema: &Value) -> Vec<&Value> {
    let schema = resolved(schema);
    match schema["anyOf"].as_array() {
        Some(choices) => choices.iter().flat_map(flattened).collect(),
        None => vec![schema],
    }
}

fn resolved(schema: &Value) -> &Value {
    match schema["$ref"].as_str() {
        Some(name) => resolved(&SCHEMA["definitions"][name.rsplit('/').next().expect("a name")]),
        None => schema,
    }
}

/// Every text that Slack would show, wherever it stands.
fn texts(value: &Value, found: &mut Vec<String>) {
    if let Some(fields) = value.as_object() {
        for (name, value) in fields {
            match value.as_str() {
                Some(text) if ["text", "fallback"].contains(&name.as_str()) => {
                    found.push(text.to_owned());
                }
                Some(_) | None => texts(value, found),
            }
        }
    }
    value.as_array().into_iter().flatten().for_each(|value| texts(value, found));
}

fn check_blocks(blocks: &[Value], most: usize) {
    assert!(!blocks.is_empty() && blocks.len() <= most, "{} blocks", blocks.len());
    for (number, block) in blocks.iter().enumerate() {
        let found =
            problems(&SCHEMA["definitions"]["AnyBlock"], block, &format!("/blocks/{number}"));
        assert!(found.is_empty(), "{found:?} in {block}");
        let size: usize = {
            let mut all = Vec::new();
            texts(block, &mut all);
            assert!(block["type"] == "actions" || all.iter().all(|text| !text.is_empty()));
            all.iter().map(|text| length(text)).sum()
        };
        assert!(block["type"] == "actions" || size <= 3_000 + 120, "a block of {size}");
    }
    let mut ids: Vec<_> = blocks.iter().filter_map(|block| block["block_id"].as_str()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "block ids twice");
}

fn check(parts: &[Part]) {
    for part in parts {
        check_blocks(&part.blocks, BLOCKS);
        assert!(!part.text.is_empty() && part.text.len() <= FALLBACK);
        let mut all = Vec::new();
        texts(&json!(part.blocks), &mut all);
        assert!(all.iter().map(|text| length(text)).sum::<usize>() <= 13_000);
        assert!(!part.text.contains(['<', '>']), "markup in the fallback: {}", part.text);
    }
}

/// Letters and digits alone, in order: what no splitting may lose.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn shown(parts: &[Part]) -> String {
    let mut all = Vec::new();
    for part in parts {
        let content = part.blocks.iter().filter(|block| block["type"] != "actions");
        content.for_each(|block| texts(block, &mut all));
    }
    all.concat()
}

// ---------------------------------------------------------------------------------------------
// Any message

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\\PC{0,40}",
        2 => "[<>&*_`~@#!|^{}a-z ]{0,40}",
        1 => Just("<!channel> <@U1> @here *bold* `code` &amp;".to_owned()),
        1 => "(word ){500,900}",
        1 => "[a-z😀]{2000,7000}",
    ]
}

fn any_inline() -> impl Strategy<Value = Inline> {
    let leaf = prop_oneof![
        6 => any_text().prop_map(Inline::Text),
        1 => any_text().prop_map(Inline::Code),
        1 => Just(Inline::Break),
        1 => (any_text(), any_text()).prop_map(|(url, text)| Inline::Link { url, text }),
        1 => any_text().prop_map(|text| Inline::Link { url: "https://x.example/a".into(), text }),
        1 => (any::<i64>(), any_text()).prop_map(|(at, text)| Inline::Time { at, text }),
        1 => Just(Inline::Time { at: 1_765_821_600, text: "Tue 10:00".into() }),
        1 => any_text().prop_map(|name| Inline::Mention { id: "U0123".into(), name }),
        1 => any_text().prop_map(|id| Inline::Mention { id, name: "ann".into() }),
        1 => any_text().prop_map(|id| Inline::Channel { id, name: "ops".into() }),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        let many = prop::collection::vec(inner, 0..3);
        prop_oneof![many.clone().prop_map(Inline::Strong), many.prop_map(Inline::Emphasis)]
    })
}

fn inlines() -> impl Strategy<Value = Vec<Inline>> {
    prop::collection::vec(any_inline(), 0..4)
}

fn any_block() -> impl Strategy<Value = Block> {
    prop_oneof![
        inlines().prop_map(Block::Heading),
        inlines().prop_map(Block::Paragraph),
        prop::collection::vec(inlines(), 0..4).prop_map(Block::List),
        inlines().prop_map(Block::Quote),
        any_text().prop_map(Block::Code),
        (
            prop::collection::vec(inlines(), 0..3),
            prop::collection::vec(prop::collection::vec(inlines(), 0..3), 0..3)
        )
            .prop_map(|(head, rows)| Block::Table { head, rows }),
    ]
}

fn any_button() -> impl Strategy<Value = Button> {
    ("\\PC{0,120}", "[a-z0-9 .-]{1,60}").prop_map(|(label, command)| Button {
        label,
        command,
        style: Style::Danger,
    })
}

fn any_message() -> impl Strategy<Value = Message> {
    let body = prop_oneof![
        8 => prop::collection::vec(any_block(), 0..6),
        1 => prop::collection::vec("[a-z ]{1,30}", 60..120).prop_map(|all| {
            all.into_iter().map(|text| Block::Paragraph(vec![Inline::Text(text)])).collect()
        }),
    ];
    let buttons = prop::collection::vec(prop::collection::vec(any_button(), 0..8), 0..28);
    (body, buttons).prop_map(|(body, buttons)| Message { body, buttons, ..Message::default() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_message_is_one_that_slack_takes(body in any_message()) {
        let Ok(parts) = message(&body, Ground::Channel) else {
            let size: usize = pieces(&body.body).iter().map(Piece::length).sum();
            prop_assert!(size > WHOLE || labels(&body.buttons) > LABELS);
            return Ok(());
        };
        check(&parts);
        let presses = body.buttons.iter().flatten().count();
        let of = |part: &Part| -> usize {
            let rows = part.blocks.iter().filter(|block| block["type"] == "actions");
            rows.map(|row| row["elements"].as_array().map_or(0, Vec::len)).sum()
        };
        prop_assert_eq!(of(&parts[0]), presses, "all buttons are on the first");
        check(&[single(&body, Ground::ThreadRoom).expect("it is short enough")]);
    }

    #[test]
    fn no_text_is_lost_or_changed(all in prop::collection::vec(any_text(), 1..5)) {
        let body = all.iter().map(|text| Block::Paragraph(vec![Inline::Text(text.clone())]));
        let body = Message { body: body.collect(), ..Message::default() };
        if let Ok(parts) = message(&body, Ground::Channel) {
            let said: String = all.concat();
            prop_assert_eq!(letters(&shown(&parts)), letters(&said));
        }
    }

    #[test]
    fn any_form_is_a_view_that_slack_takes(
        title in "\\PC{0,60}",
        body in prop::collection::vec(any_block(), 0..3),
        fields in prop::collection::vec(any_field(), 0..6),
        submit in "\\PC{0,40}",
    ) {
        let form = Form {
            title, text: body, command: "no-go v1".into(), fields, submit, style: Style::Danger,
        };
        let shown = view(&form, &Origin::default()).expect("a short command fits");
        let found = problems(&SCHEMA["definitions"]["ModalView"], &shown, "/view");
        prop_assert!(found.is_empty(), "{:?}", found);
        let inputs = shown["blocks"].as_array().expect("blocks");
        let inputs = inputs.iter().filter(|block| block["type"] == "input").count();
        prop_assert_eq!(inputs, form.fields.len(), "every field is asked");
    }
}

fn any_field() -> impl Strategy<Value = Field> {
    let kind = prop_oneof![
        Just(FieldKind::Line),
        Just(FieldKind::Paragraph),
        Just(FieldKind::Date),
        Just(FieldKind::Clock),
        prop::collection::vec(("\\PC{0,90}", "\\PC{0,90}"), 0..120).prop_map(FieldKind::Choice),
    ];
    let value = prop_oneof![any_text(), Just("2026-12-15".to_owned()), Just("10:00".to_owned())];
    (kind, "\\PC{0,30}", any_text(), value, any_text(), any::<bool>()).prop_map(
        |(kind, label, hint, value, problem, required)| Field {
            name: "reason".into(),
            label,
            hint,
            kind,
            required,
            value,
            problem,
        },
    )
}

// ---------------------------------------------------------------------------------------------
// One by one

fn paragraph(inlines: Vec<Inline>) -> Message {
    Message { body: vec![Block::Paragraph(inlines)], ..Message::default() }
}

fn text(text: &str) -> Inline {
    Inline::Text(text.to_owned())
}

fn first(body: &Message) -> Part {
    message(body, Ground::Channel).expect("it is short").swap_remove(0)
}

#[test]
fn what_a_person_wrote_mentions_and_formats_nothing() {
    let mischief = "<!channel> <@U1> @here *b* _i_ `c` & <http://x|y>";
    let part = first(&paragraph(vec![text(mischief)]));
    let element = &part.blocks[0]["elements"][0]["elements"][0];
    assert_eq!(*element, json!({"type": "text", "text": mischief}));
    assert_eq!(
        part.text,
        "&lt;!channel&gt; &lt;@U1&gt; @here *b* _i_ `c` &amp; &lt;http://x|y&gt;"
    );
}

#[test]
fn times_people_channels_and_links_are_slacks_own() {
    let part = first(&paragraph(vec![
        Inline::Strong(vec![Inline::Time { at: 1_765_821_600, text: "Tue 10:00 PST".into() }]),
        Inline::Mention { id: "U0ANN".into(), name: "ann".into() },
        Inline::Channel { id: "C0OPS:17.5".into(), name: "ops".into() },
        Inline::Link { url: "https://x.example/a".into(), text: "notes".into() },
        Inline::Code("v1".into()),
    ]));
    assert_eq!(
        part.blocks[0]["elements"][0]["elements"],
        json!([
            {"type": "date", "timestamp": 1_765_821_600, "format": "{date_long_pretty} {time}",
             "fallback": "Tue 10:00 PST", "style": {"bold": true}},
            {"type": "user", "user_id": "U0ANN"},
            {"type": "channel", "channel_id": "C0OPS"},
            {"type": "link", "url": "https://x.example/a", "text": "notes"},
            {"type": "text", "text": "v1", "style": {"code": true}},
        ])
    );
    assert_eq!(part.text, "Tue 10:00 PST@ann#opsnotes (https://x.example/a)v1");
}

#[test]
fn an_address_of_another_kind_and_an_id_that_is_none_are_text() {
    let part = first(&paragraph(vec![
        Inline::Link { url: "javascript:alert(1)".into(), text: "here".into() },
        Inline::Mention { id: "!channel".into(), name: "ann".into() },
    ]));
    assert_eq!(
        part.blocks[0]["elements"][0]["elements"],
        json!([
            {"type": "text", "text": "here (javascript:alert(1))"},
            {"type": "text", "text": "@ann"},
        ])
    );
}

#[test]
fn the_lead_is_the_first_that_a_lock_screen_shows() {
    let mut body = paragraph(vec![text("Web shop v1.2.0 is live.")]);
    body.body.push(Block::List(vec![vec![text("one")], vec![text("two")]]));
    assert_eq!(first(&body).text, "Web shop v1.2.0 is live.\n• one\n• two");
}

#[test]
fn a_table_becomes_lines_that_a_telephone_can_show() {
    let cell = |words: &str| vec![text(words)];
    let body = Message {
        body: vec![Block::Table {
            head: vec![cell("Stage"), cell("Errors"), cell("p95")],
            rows: vec![vec![cell("Pod 1"), cell("0.3 %"), cell("187 ms")]],
        }],
        ..Message::default()
    };
    assert_eq!(first(&body).text, "• Pod 1 — Errors: 0.3 % · p95: 187 ms");
    let body = Message {
        body: vec![Block::Table {
            head: vec![cell("Offset"), cell("Stage"), cell("v1.2.0")],
            rows: vec![vec![cell("—"), cell("Pod 1"), cell("50 %")]],
        }],
        ..Message::default()
    };
    assert_eq!(first(&body).text, "• Stage: Pod 1 — v1.2.0: 50 %", "a dash says nothing here");
}

#[test]
fn what_is_edited_fits_in_bytes_too() {
    for words in ["… ", "<&> ", "приборы ", "🚀 "] {
        let mut long = paragraph(vec![text(&words.repeat(3_000))]);
        let one = single(&long, Ground::Channel).expect("cut");
        assert!(one.text.len() <= 4_000 && one.text.ends_with('…'), "{words}: {}", one.text.len());
        let button = Button { label: "GO".into(), command: "go v1".into(), style: Style::Primary };
        long.buttons = vec![vec![button]];
        let bare = bare(&long, "/release");
        assert!(bare.len() <= 4_000 && bare.ends_with("\nGO: /release go v1"), "{}", bare.len());
    }
}

#[test]
fn a_heading_with_a_date_stays_a_line_of_text() {
    let plain = Block::Heading(vec![text("Release notes")]);
    let dated = Block::Heading(vec![Inline::Time { at: 1_765_821_600, text: "Tue".into() }]);
    let part = first(&Message { body: vec![plain, dated], ..Message::default() });
    assert_eq!(part.blocks[0]["type"], "header");
    assert_eq!(part.blocks[1]["elements"][0]["elements"][0]["style"], json!({"bold": true}));
}

#[test]
fn what_is_too_long_is_split_or_refused_and_never_cut_in_silence() {
    let long = paragraph(vec![text(&"word ".repeat(5_000))]);
    let parts = message(&long, Ground::Channel).expect("a long message");
    assert!(parts.len() > 1);
    assert_eq!(letters(&shown(&parts)), "word".repeat(5_000));
    let one = single(&long, Ground::Channel).expect("cut");
    assert!(shown(&[one]).contains("The rest is too long"));
    let endless = paragraph(vec![text(&"x".repeat(50_000))]);
    assert!(message(&endless, Ground::Channel).is_err());
}

#[test]
fn a_command_is_never_cut() {
    let button = Button { label: "Go".into(), command: "x".repeat(2_001), style: Style::Primary };
    let mut body = paragraph(vec![text("x")]);
    body.buttons = vec![vec![button]];
    let why = message(&body, Ground::Channel).expect_err("Slack takes 2,000").to_string();
    assert!(why.contains("\"Go\""), "{why}");
    let form = Form {
        title: "t".into(),
        text: Vec::new(),
        command: "x".repeat(3_000),
        fields: Vec::new(),
        submit: "OK".into(),
        style: Style::Plain,
    };
    assert_eq!(view(&form, &Origin::default()), None);
}

#[test]
fn a_row_tells_whether_it_stands_in_a_thread_that_is_a_room() {
    let mut body = paragraph(vec![text("x")]);
    body.buttons =
        vec![vec![Button { label: "Go".into(), command: "go".into(), style: Style::Plain }]];
    for ground in [Ground::Channel, Ground::ThreadRoom] {
        let parts = message(&body, ground).expect("it is short");
        let id = parts[0].blocks[1]["block_id"].as_str().expect("an id");
        assert_eq!(Ground::of(id), ground);
    }
}

#[test]
fn without_a_layout_every_button_is_a_line_to_type() {
    let mut body = paragraph(vec![text("Ready?")]);
    body.buttons =
        vec![vec![Button { label: "GO".into(), command: "go v1".into(), style: Style::Plain }]];
    assert_eq!(bare(&body, "/release"), "Ready?\nGO: /release go v1");
}

fn asked() -> Form {
    Form {
        title: "Say NO-GO".into(),
        text: vec![Block::Paragraph(vec![text("This stops the start.")])],
        command: "no-go v1".into(),
        fields: vec![Field {
            name: "reason".into(),
            label: "Reason".into(),
            hint: "One sentence.".into(),
            kind: FieldKind::Paragraph,
            required: true,
            value: String::new(),
            problem: "Say why.".into(),
        }],
        submit: "NO-GO".into(),
        style: Style::Danger,
    }
}

#[test]
fn a_problem_stands_beside_its_field() {
    let state = |name: &str| json!({"state": {"values": {"field-0": {name: {"value": null}}}}});
    assert_eq!(
        errors(&asked(), &state("reason")),
        Some(json!({"response_action": "errors", "errors": {"field-0": "Say why."}}))
    );
    assert_eq!(errors(&asked(), &state("other")), None, "it is not on the screen");
    let mut sound = asked();
    sound.fields[0].problem.clear();
    assert_eq!(errors(&sound, &state("reason")), None);
}

#[test]
fn a_view_knows_its_command_and_the_way_back() {
    let origin = Origin { channel: Some("C1".into()), handle: Some("https://h".into()) };
    let shown = view(&asked(), &origin).expect("it fits");
    let metadata = shown["private_metadata"].as_str().expect("text");
    let draft: Draft = serde_json::from_str(metadata).expect("ours");
    assert_eq!(draft, Draft { command: "no-go v1".into(), origin });
    assert_eq!(shown["blocks"][1]["hint"]["text"], "Say why. — One sentence.");
}

#[test]
fn the_home_tab_is_a_view() {
    let mut body = paragraph(vec![text("Nothing waits for you.")]);
    body.buttons =
        vec![vec![Button { label: "New".into(), command: "new".into(), style: Style::Primary }]];
    let view = home(&body).expect("it is short");
    assert!(problems(&SCHEMA["definitions"]["HomeView"], &view, "/view").is_empty());
}
