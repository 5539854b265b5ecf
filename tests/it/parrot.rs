//! An ear for the console's tests: it knows a few commands and writes down what it heard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use tminus::adapters::chat::console::Console;
use tminus::ports::{
    Answered, Block, Button, Chat, Completion, Ear, Field, FieldKind, File, Form, Heard, Inline,
    Message, MessageRef, Place, Reply, Said, Style, Tone,
};

#[derive(Default)]
pub(crate) struct Parrot {
    heard: Mutex<Vec<Heard>>,
    card: OnceLock<(Arc<Console>, MessageRef)>,
}

pub(crate) fn text(text: &str) -> Inline {
    Inline::Text(text.to_owned())
}

fn strong(inner: &str) -> Inline {
    Inline::Strong(vec![text(inner)])
}

fn button(label: &str, command: &str, style: Style) -> Button {
    Button { label: label.to_owned(), command: command.to_owned(), style }
}

fn message(tone: Tone, body: Vec<Block>) -> Message {
    Message { tone, body, ..Message::default() }
}

impl Parrot {
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The card that GO changes.
    pub(crate) fn owns(&self, console: Arc<Console>, card: MessageRef) {
        assert!(self.card.set((console, card)).is_ok(), "one card is enough");
    }
}

#[async_trait]
impl Ear for Parrot {
    async fn hear(&self, heard: Heard) -> Answered {
        self.heard.lock().unwrap().push(heard.clone());
        let command = match &heard.said {
            Said::Line(line) => line.clone(),
            Said::Pressed(command) => command.clone(),
            Said::Submitted { command, fields } => {
                return Answered::Now(submitted(command, fields));
            }
        };
        Answered::Now(match command.split(' ').next().unwrap_or_default() {
            "no-go" => Reply::Form(no_go()),
            "rollback" => Reply::Form(rollback()),
            "help" => Reply::Private(help()),
            "report" => Reply::Private(report()),
            "go" => {
                if let Some((console, card)) = self.card.get() {
                    console.edit(card, &live_card("waiting for support")).await.unwrap();
                }
                private(Tone::Good, "Your GO for QA is recorded.")
            }
            other => private(Tone::Warning, &format!("I don't know {other}. Try help.")),
        })
    }

    async fn home(&self, _platform: &str, _tenant: &str, _user: &str) -> Message {
        help()
    }

    fn complete(
        &self,
        _asker: (&str, &str, &str),
        _channel: Option<&str>,
        line: &str,
    ) -> Vec<Completion> {
        let known = [
            ("go v1.2.0 qa", "sign off for QA"),
            ("no-go v1.2.0 qa", "stop it, with a reason"),
            ("help", "what can I type?"),
            ("rollback v1.2.0", "go back to v1.1.9"),
            ("status v1.2.0", "what it waits for, on whom, since when"),
        ];
        let fits = known.iter().filter(|(command, _)| command.starts_with(line));
        fits.map(|(command, about)| Completion {
            text: (*command).to_owned(),
            about: (*about).to_owned(),
        })
        .collect()
    }
}

fn private(tone: Tone, words: &str) -> Reply {
    Reply::Private(message(tone, vec![Block::Paragraph(vec![text(words)])]))
}

fn submitted(command: &str, fields: &BTreeMap<String, String>) -> Reply {
    let reason = fields.get("reason").map_or("no reason", String::as_str);
    private(Tone::Bad, &format!("Recorded: {command}, because {reason}."))
}

fn help() -> Message {
    let item = |command: &str, about: &str| {
        vec![Inline::Code(format!("/release {command}")), text(" "), text(about)]
    };
    let list = Block::List(vec![
        item("status", "what it waits for, on whom, since when"),
        item("go", "sign off for your role"),
        item("rollback", "return to the last good version"),
    ]);
    message(Tone::Plain, vec![Block::Paragraph(vec![text("Here is what you can type:")]), list])
}

/// How it begins, and the whole of it as a file.
pub(crate) fn report() -> Message {
    let text = "# Report: Web shop v1\\.2\n\n**Outcome**: `SUCCESS`, <b>no</b> issues\nsee \
        [the plan](https://example.org/plan) or [that](javascript:alert)\n\n\
        | Stage | Traffic |\n|---|---|\n| Pod 1 | 33 % \\| 1 of 3 |\n\n\
        ## Log\n\n- 10:00 started\n  - by Maria\n1. first\n\n> quoted\n\n```\nexit 0\n```\n";
    let file = File {
        name: "report-v1.2.0.md".to_owned(),
        media: "text/markdown".to_owned(),
        text: text.to_owned(),
    };
    let words = "This is how it begins.";
    let begun = message(Tone::Good, vec![Block::Paragraph(vec![self::text(words)])]);
    Message { files: vec![file], ..begun }
}

fn no_go() -> Form {
    let reason = Field {
        name: "reason".to_owned(),
        label: "Reason".to_owned(),
        hint: "Everybody in the war room reads it.".to_owned(),
        kind: FieldKind::Paragraph,
        required: true,
        value: String::new(),
        problem: String::new(),
    };
    let until = Field {
        name: "until".to_owned(),
        label: "Would it be better later?".to_owned(),
        hint: String::new(),
        kind: FieldKind::Choice(vec![
            ("today".to_owned(), "Later today".to_owned()),
            ("week".to_owned(), "Next week".to_owned()),
        ]),
        required: false,
        value: String::new(),
        problem: String::new(),
    };
    Form {
        title: "NO-GO for QA".to_owned(),
        text: vec![Block::Paragraph(vec![
            text("This blocks the start of "),
            strong("Web shop v1.2.0"),
            text(" until you change your vote."),
        ])],
        command: "no-go v1.2.0 qa".to_owned(),
        fields: vec![reason, until],
        submit: "Vote NO-GO".to_owned(),
        style: Style::Danger,
    }
}

fn rollback() -> Form {
    Form {
        title: "Roll back Web shop?".to_owned(),
        text: vec![Block::Paragraph(vec![
            text("From "),
            strong("v1.2.0"),
            text(" to "),
            strong("v1.1.9"),
            text(" (last good, live until 10:05 today). 3 steps, about 2 minutes."),
        ])],
        command: "rollback v1.2.0 --to v1.1.9".to_owned(),
        fields: Vec::new(),
        submit: "Roll back to v1.1.9".to_owned(),
        style: Style::Danger,
    }
}

pub(crate) fn live_card(waits: &str) -> Message {
    let buttons = vec![vec![
        button("GO", "go v1.2.0 qa", Style::Primary),
        button("NO-GO", "no-go v1.2.0 qa", Style::Plain),
        button("Hold", "hold v1.2.0", Style::Plain),
        button("Roll back to v1.1.9", "rollback v1.2.0", Style::Danger),
    ]];
    let body = vec![
        Block::Heading(vec![text("Web shop v1.2.0 · T-0:42 · "), text(waits)]),
        Block::Paragraph(vec![text(
            "GO ✓ engineering (ann, 09:12) ✓ product (paula, Mon) · waiting: support, QA",
        )]),
        Block::Table {
            head: vec![vec![text("Stage")], vec![text("Traffic")], vec![text("State")]],
            rows: vec![
                vec![vec![text("Pod 1")], vec![text("33 %")], vec![text("next")]],
                vec![vec![text("Pod 2")], vec![text("67 %")], vec![text("after 15 min")]],
            ],
        },
    ];
    Message { tone: Tone::Warning, body, buttons, ..Message::default() }
}

/// Some of everything, so that a look at the page shows it all. Gives the card.
pub(crate) async fn tell_a_story(console: &Console) -> MessageRef {
    let releases = Place::Channel("releases".to_owned());
    let post =
        async |key: &str, message: Message| console.post(&releases, key, &message).await.unwrap();
    let card = post("card", live_card("waiting for 2 sign-offs")).await;
    console.pin(&card).await.unwrap();
    post("announcement", announcement()).await;
    let stage = |tone, words: &str| message(tone, vec![Block::Paragraph(vec![text(words)])]);
    post("1", stage(Tone::Good, "[10:05] ✅ Database migrations complete (2 min 10 s)")).await;
    post("2", stage(Tone::Plain, "[10:12] ⏳ Soaking pod 1 until 10:20 · errors 0.31 %")).await;
    let hold = Message {
        buttons: vec![vec![button("Resume", "resume v1.2.0", Style::Plain)]],
        ..message(
            Tone::Bad,
            vec![
                Block::Paragraph(vec![
                    text("⚠️ [10:21] "),
                    strong("On hold at pod 2 (67 %)."),
                    text(" The step failed; "),
                    Inline::Mention { id: "quinn".to_owned(), name: "Quinn".to_owned() },
                    text(" is asked."),
                ]),
                Block::Code(
                    "step deploy-pod-2\nerror: health check: 503 Service Unavailable".into(),
                ),
                Block::Quote(vec![text("مرحبا — right-to-left text keeps its order")]),
            ],
        )
    };
    post("3", hold).await;
    let to_maria = Place::Person("maria".to_owned());
    console.post(&to_maria, "dm", &stage(Tone::Plain, "Support waits for you.")).await.unwrap();
    open_rooms(console).await;
    card
}

async fn open_rooms(console: &Console) {
    let room = tminus::ports::RoomWish {
        key: "room".to_owned(),
        name: "release v1.2.0".to_owned(),
        topic: "Web shop v1.2.0".to_owned(),
        purpose: "Where it happens".to_owned(),
        members: vec!["maria".to_owned()],
        groups: Vec::new(),
        near: None,
        links: Vec::new(),
    };
    console.open_room(&room).await.unwrap();
    let mut old = room;
    (old.key, old.name) = ("old".to_owned(), "release v1.1.9".to_owned());
    let old = console.open_room(&old).await.unwrap();
    console.archive(&old.channel).await.unwrap();
}

fn announcement() -> Message {
    let at = Inline::Time { at: 1_797_357_600, text: "Tue 15 Dec, 10:00 PST".to_owned() };
    let room = Inline::Channel { id: "customers".to_owned(), name: "customers".to_owned() };
    let plan = Inline::Link { url: "https://example.org/plan".into(), text: "plan".into() };
    message(
        Tone::Plain,
        vec![
            Block::Paragraph(vec![
                text("📅 "),
                strong("Web shop v1.2.0"),
                text(" goes out "),
                at,
                text("."),
            ]),
            Block::Paragraph(vec![
                text("In it: new dashboard, advanced search, 15 fixes. Impact: none expected."),
                Inline::Break,
                text("Questions? Ask in "),
                room,
                text(" or read the "),
                plan,
                text("."),
            ]),
        ],
    )
}
