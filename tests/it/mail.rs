//! Announcements by mail, against a real mail server that answers as it is told to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tminus::adapters::courier::Mail;
use tminus::adapters::courier::mail::{List, Server, Tls};
use tminus::ports::{Block, Courier, Failure, Inline, Letter, Receipt};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::installed::{Installed, Running, until};
use crate::operation::{MARIA, page, quiet, said};
use crate::secrets;

const ANN: &str = "ann@customer.example";
const BEN: &str = "ben@partner.example";
const PASSWORD: &str = "a-password-that-nobody-may-read";

// ---------------------------------------------------------------------------------------------
// The server

/// `tests/mail_server.py`; it ends with its standard input, which is ours.
struct Post {
    port: u16,
    told: Arc<Mutex<Vec<Value>>>,
    _server: Child,
}

impl Post {
    async fn start(answering: Value) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let python = root.join(".tools/python/bin/python");
        assert!(python.exists(), "there is no {}: `tests/run` installs it", python.display());
        let mut command = Command::new(python);
        command.arg(root.join("mail_server.py")).arg(answering.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("the mail server starts");
        let first: Value = serde_json::from_str(&first).unwrap();
        let port = u16::try_from(first["port"].as_u64().unwrap()).unwrap();
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = told.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { port, told, _server: server }
    }

    /// Every letter whose text it had in hand, whatever it answered.
    fn letters(&self) -> Vec<Mailed> {
        let told = self.told.lock().unwrap();
        let whole = told.iter().filter(|told| told["text"].is_string());
        whole
            .inspect(|told| secrets::none_in("a letter", told["text"].to_string()))
            .map(Mailed::of)
            .collect()
    }

    /// The same, once it has told of so many. It tells before it answers, and is read later.
    async fn had(&self, count: usize) -> Vec<Mailed> {
        until("so many letters", async || self.letters().len() >= count).await;
        let letters = self.letters();
        assert_eq!(letters.len(), count, "{letters:#?}");
        letters
    }

    /// Until so many logins were tried, and no more.
    async fn had_tries(&self, count: usize) {
        let tries = || {
            let told = self.told.lock().unwrap();
            told.iter().filter(|told| told["tried"].is_boolean()).count()
        };
        until("so many logins", async || tries() >= count).await;
        assert_eq!(tries(), count);
    }
}

/// A letter as the server had it.
#[derive(Debug, Clone)]
struct Mailed {
    recipients: Vec<String>,
    raw: String,
    answer: String,
    tls: bool,
    login: bool,
}

impl Mailed {
    fn of(told: &Value) -> Self {
        let recipients = told["recipients"].as_array().unwrap().iter();
        Self {
            recipients: recipients.map(|to| to.as_str().unwrap().to_owned()).collect(),
            raw: told["text"].as_str().unwrap().to_owned(),
            answer: told["answer"].as_str().unwrap().to_owned(),
            tls: told["tls"] == true,
            login: told["login"] == true,
        }
    }

    /// The headers of the whole, each in one line.
    fn headers(&self) -> Vec<String> {
        let head = self.raw.split("\r\n\r\n").next().unwrap();
        head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
    }

    fn header(&self, name: &str) -> String {
        let headers = self.headers();
        let start = format!("{name}: ");
        let mut found = headers.iter().filter_map(|line| line.strip_prefix(&start));
        let first = found.next().unwrap_or_else(|| panic!("no {name}: {headers:#?}"));
        assert!(found.next().is_none(), "{name} twice: {headers:#?}");
        first.to_owned()
    }

    /// What a reader's program makes of it: its headers and parts, by another implementation.
    fn read(&self) -> Value {
        let script = "import email, email.policy, json, sys\n\
             m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
             parts = {p.get_content_type(): p.get_content() for p in m.iter_parts()}\n\
             print(json.dumps({'subject': m['subject'], 'kind': m.get_content_type(), **parts}))";
        let mut reader = std::process::Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = reader.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, self.raw.as_bytes()).unwrap();
        drop(stdin);
        serde_json::from_slice(&reader.wait_with_output().unwrap().stdout).unwrap()
    }

    fn subject(&self) -> String {
        self.read()["subject"].as_str().unwrap().to_owned()
    }
}

// ---------------------------------------------------------------------------------------------
// The adapter

fn server(post: &Post) -> Server {
    Server {
        host: "127.0.0.1".to_owned(),
        port: post.port,
        tls: Tls::None,
        ca: None,
        login: None,
        helo: None,
        timeout: Duration::from_secs(20),
        from: "Shop releases <releases@shop.example>".parse().unwrap(),
    }
}

fn mail(server: Server) -> Mail {
    let to = vec![ANN.parse().unwrap(), BEN.parse().unwrap()];
    let reply_to = Some("support@shop.example".parse().unwrap());
    let lists = BTreeMap::from([("customers".to_owned(), List { to, reply_to })]);
    Mail::new(server, lists, "this-log").expect("a good configuration")
}

fn letter(subject: &str) -> Letter {
    Letter {
        kind: "t-24h".to_owned(),
        subject: subject.to_owned(),
        text: format!("{subject}\n\nNo downtime expected.\n.\nReally."),
        body: vec![
            Block::Paragraph(vec![Inline::Strong(vec![Inline::Text(subject.to_owned())])]),
            Block::Paragraph(vec![Inline::Text("No <b>downtime</b> expected.".to_owned())]),
        ],
    }
}

async fn sent(post: &Post) -> Result<Receipt, Failure> {
    mail(server(post)).send("customers", "7.0", &letter("It starts tomorrow")).await
}

/// What went wrong is told without anybody's address or password.
fn why(sent: Result<Receipt, Failure>) -> String {
    let why = match sent.expect_err("it must fail") {
        Failure::Transient { why, .. } => format!("transient: {why}"),
        Failure::Permanent { why } => format!("permanent: {why}"),
        Failure::Unknown { why } => format!("unknown: {why}"),
        Failure::NoEntry { why } => format!("no entry: {why}"),
    };
    assert_discreet(&why);
    why
}

fn assert_discreet(text: &str) {
    for secret in [ANN, BEN, "ann@", "ben@", PASSWORD] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn a_letter_reaches_a_list_once_and_hides_who_is_on_it() {
    let post = Post::start(json!({})).await;
    assert_eq!(sent(&post).await, Ok(Receipt::Whole));
    let mailed = &post.had(1).await[0];
    assert_eq!(mailed.recipients, [ANN, BEN]);
    assert_discreet(&mailed.raw);
    assert!(mailed.raw.is_ascii());
    assert_eq!(mailed.header("From"), "\"Shop releases\" <releases@shop.example>");
    assert_eq!(mailed.header("To"), "undisclosed-recipients:;");
    assert_eq!(mailed.header("Reply-To"), "support@shop.example");
    assert_eq!(mailed.header("Subject"), "It starts tomorrow");
    assert_eq!(mailed.header("Auto-Submitted"), "auto-generated");
    assert!(chrono::DateTime::parse_from_rfc2822(&mailed.header("Date")).is_ok());
    let read = mailed.read();
    assert_eq!(read["kind"], "multipart/alternative");
    let text = read["text/plain"].as_str().unwrap().replace('\r', "");
    assert_eq!(text.trim_end(), "It starts tomorrow\n\nNo downtime expected.\n.\nReally.");
    let html = read["text/html"].as_str().unwrap();
    assert!(html.contains("<strong>It starts tomorrow</strong>"), "{html}");
    assert!(html.contains("No &lt;b&gt;downtime&lt;/b&gt; expected."), "{html}");
}

#[tokio::test]
async fn the_id_of_a_message_is_that_of_its_letter_alone() {
    let post = Post::start(json!({})).await;
    let list = List { to: vec![ANN.parse().unwrap()], reply_to: None };
    let lists = BTreeMap::from([("customers".to_owned(), list)]);
    let theirs = Mail::new(server(&post), lists, "another-log").unwrap();
    let ours = mail(server(&post));
    for (mail, key) in [(&ours, "7.0"), (&ours, "7.0"), (&ours, "7.1"), (&theirs, "7.0")] {
        mail.send("customers", key, &letter("x")).await.unwrap();
    }
    let ids: Vec<_> = post.had(4).await.iter().map(|mailed| mailed.header("Message-ID")).collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0] != ids[2] && ids[0] != ids[3] && ids[2] != ids[3], "{ids:?}");
    assert!(ids[0].ends_with("@shop.example>"), "{ids:?}");
}

#[tokio::test]
async fn a_subject_is_one_line_in_any_script() {
    let post = Post::start(json!({})).await;
    let mail = mail(server(&post));
    let sly = "Web shop\r\nBcc: eve@evil.example\r\n\r\nX-Sly: yes\nand\u{0}on\u{85}on";
    let many = "🚀 \u{2068}שחרור דנה\u{2069} beginnt für Ünïcode 日本語";
    let long = "很长的标题 ".repeat(80);
    for subject in [sly, many, &long] {
        assert_eq!(mail.send("customers", "7.0", &letter(subject)).await, Ok(Receipt::Whole));
    }
    let letters = post.had(3).await;
    assert_eq!(
        letters[0].subject(),
        "Web shop Bcc: eve@evil.example X-Sly: yes and on on",
        "{:#?}",
        letters[0].headers()
    );
    let names = |mailed: &Mailed| {
        let headers = mailed.headers();
        let name = |line: &String| line.split(':').next().unwrap().to_owned();
        headers.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&letters[0]), names(&letters[1]));
    assert!(!names(&letters[0]).iter().any(|name| name == "Bcc" || name == "X-Sly"));
    assert_eq!(letters[0].recipients, [ANN, BEN]);
    assert_eq!(letters[1].subject(), many);
    let long = letters[2].subject();
    assert!(long.ends_with('…') && long.chars().count() == 151, "{long}");
    let widest = letters.iter().flat_map(|mailed| mailed.raw.lines()).map(str::len).max();
    assert!(widest.unwrap() <= 998, "{widest:?}");
}

#[tokio::test]
async fn what_a_server_answers_decides_about_the_next_try() {
    let texts = ["451 4.7.1 try later", "550 5.7.1 no such thing for ann@customer.example", "drop"];
    let post = Post::start(json!({ "answers": texts })).await;
    let later = why(sent(&post).await);
    assert!(later.starts_with("transient: ") && later.contains("451"), "{later}");
    let never = why(sent(&post).await);
    assert!(never.starts_with("permanent: ") && never.contains("550"), "{never}");
    assert!(never.contains("no such thing for …"), "{never}");
    let lost = why(sent(&post).await);
    assert!(lost.starts_with("unknown: ") && lost.contains("not sent again"), "{lost}");
    assert_eq!(sent(&post).await, Ok(Receipt::Whole));
    let nobody = mail(server(&post)).send("custmers", "7.0", &letter("x")).await;
    assert!(why(nobody).contains("add [mail.lists.custmers]"));
}

#[tokio::test]
async fn who_is_turned_away_is_counted_and_not_named() {
    let gone = "550 5.1.1 <ben@partner.example> ben has left";
    let full = "452 4.2.2 ann@customer.example is full";
    let post = Post::start(json!({ "recipients": { BEN: gone } })).await;
    let Ok(Receipt::Partly { why: part }) = sent(&post).await else { panic!("some have it") };
    assert_discreet(&part);
    for words in ["1 of the 2 recipients of `customers` (550)", "one other has the letter"] {
        assert!(part.contains(words), "{part}");
    }
    assert_eq!(post.had(1).await[0].recipients, [ANN]);
    let post = Post::start(json!({ "recipients": { ANN: gone, BEN: gone } })).await;
    let none = why(sent(&post).await);
    assert!(none.starts_with("permanent: ") && none.contains("every recipient"), "{none}");
    // As long as nobody has it, whoever is put off for now may be asked again.
    let post = Post::start(json!({ "recipients": { ANN: full, BEN: gone } })).await;
    let none = why(sent(&post).await);
    assert!(none.starts_with("transient: ") && none.contains("(452, 550)"), "{none}");
    assert!(post.letters().is_empty());
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let away = |timeout, port| {
        let from = "releases@shop.example".parse().unwrap();
        let host = "127.0.0.1".to_owned();
        let (ca, login, helo) = (None, None, None);
        mail(Server { host, port, tls: Tls::None, ca, login, helo, timeout, from })
    };
    // It takes the connection and never greets.
    let mute = away(Duration::from_millis(200), port).look().await.map(|()| Receipt::Whole);
    let mute = why(mute);
    assert!(mute.starts_with("transient: ") && mute.contains("did not answer"), "{mute}");
    drop(free);
    let away = away(Duration::from_secs(20), port).send("customers", "7.0", &letter("x")).await;
    let away = why(away);
    assert!(away.starts_with("transient: ") && away.contains("cannot be reached"), "{away}");
}

#[tokio::test]
async fn a_login_that_is_refused_waits_for_a_person() {
    let user = "bot@shop.example";
    let post = Post::start(json!({ "login": [user, PASSWORD] })).await;
    let with = |password: &str| {
        let login = Some((user.to_owned(), password.to_owned()));
        mail(Server { login, ..server(&post) })
    };
    let refused = why(with("not-it").send("customers", "7.0", &letter("x")).await);
    assert!(refused.starts_with("permanent: ") && refused.contains("refused the login (535)"));
    assert!(refused.contains("[mail] user and password") && !refused.contains(user), "{refused}");
    assert_eq!(with(PASSWORD).look().await, Ok(()));
    assert!(post.letters().is_empty(), "looking sends nothing");
    let sent = with(PASSWORD).send("customers", "7.0", &letter("x")).await;
    assert_eq!(sent, Ok(Receipt::Whole));
    assert!(post.had(1).await[0].login);
    post.had_tries(3).await;
    // A server that asks for a login is told apart from one that offers none.
    let none = why(mail(server(&post)).send("customers", "7.0", &letter("x")).await);
    assert!(none.starts_with("permanent: ") && none.contains("530"), "{none}");
    let open = Post::start(json!({})).await;
    let login = Some((user.to_owned(), PASSWORD.to_owned()));
    let none = mail(Server { login, ..server(&open) }).look().await.map(|()| Receipt::Whole);
    let none = why(none);
    assert!(none.starts_with("permanent: ") && none.contains("offers no login"), "{none}");
}

/// An authority and a certificate of it for this machine, in files.
struct Papers {
    _keep: TempDir,
    ca: Vec<u8>,
    certificate: PathBuf,
    key: PathBuf,
}

fn papers() -> Papers {
    let keep = TempDir::new().unwrap();
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&authority_key).unwrap().pem().into_bytes();
    let issuer = Issuer::new(authority, authority_key);
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&leaf_key, &issuer).unwrap();
    let (certificate, key) = (keep.path().join("certificate"), keep.path().join("key"));
    std::fs::write(&certificate, leaf.pem()).unwrap();
    std::fs::write(&key, leaf_key.serialize_pem()).unwrap();
    Papers { _keep: keep, ca, certificate, key }
}

#[tokio::test]
async fn a_line_is_secret_or_there_is_none() {
    let papers = papers();
    for (word, tls) in [("starttls", Tls::Starttls), ("implicit", Tls::Implicit)] {
        let (certificate, key) = (&papers.certificate, &papers.key);
        let told = json!({
            "tls": word, "certificate": certificate, "key": key, "login": ["bot", PASSWORD],
        });
        let post = Post::start(told).await;
        let login = Some(("bot".to_owned(), PASSWORD.to_owned()));
        let with = |ca| mail(Server { tls, ca, login: login.clone(), ..server(&post) });
        let known = with(Some(papers.ca.clone())).send("customers", "7.0", &letter("x")).await;
        assert_eq!(known, Ok(Receipt::Whole), "{word}");
        let mailed = &post.had(1).await[0];
        assert!(mailed.tls && mailed.login, "{word}");
        let strange = why(with(None).send("customers", "7.0", &letter("x")).await);
        assert!(strange.starts_with("permanent: "), "{strange}");
        assert!(strange.contains("cannot be trusted"), "{strange}");
        // The password was kept.
        post.had(1).await;
        post.had_tries(1).await;
    }
    let open = Post::start(json!({ "login": ["bot", PASSWORD] })).await;
    let login = Some(("bot".to_owned(), PASSWORD.to_owned()));
    let stripped = mail(Server { tls: Tls::Starttls, login, ..server(&open) });
    let stripped = why(stripped.send("customers", "7.0", &letter("x")).await);
    assert!(stripped.starts_with("permanent: ") && stripped.contains("no STARTTLS"), "{stripped}");
    open.had_tries(0).await;
}

// ---------------------------------------------------------------------------------------------
// The program

/// The embedded default, installed for real, whose customers are told by mail.
fn installed(post: &Post) -> Installed {
    let config = std::fs::read_to_string("config/default.toml").unwrap();
    let config = config
        .replace("{demo_url}", "http://127.0.0.1:9")
        .replace("customers = [\"console/local/customers\"]", "customers = [\"email:customers\"]");
    let port = post.port;
    let more = format!(
        r#"
[console.tokens]
maria = {{ env = "TOKEN_MARIA" }}

[mail]
server = "127.0.0.1"
port = {port}
tls = "none"
user = "bot"
password = {{ env = "MAIL_PASSWORD" }}
from = "Shop releases <releases@shop.example>"
timeout = "20s"

[mail.lists.customers]
to = ["{ANN}", "{BEN}"]
"#
    );
    let here = Installed::new(&format!("{config}{more}"));
    let sample = std::fs::read_to_string("config/plans/web-shop-v1.2.0.toml").unwrap();
    here.write("plans/web-shop-v1.2.0.toml", &sample);
    here.with_env("TOKEN_MARIA", MARIA).with_env("MAIL_PASSWORD", PASSWORD)
}

async fn post(answering: Value) -> Post {
    let mut answering = answering;
    answering["login"] = json!(["bot", PASSWORD]);
    Post::start(answering).await
}

/// Nobody's address is in what is kept, said and logged.
fn assert_kept_secret(here: &Installed) {
    assert_discreet(&here.logged());
    for file in std::fs::read_dir(here.state()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        assert_discreet(&String::from_utf8_lossy(&bytes));
    }
}

fn answers(letters: &[Mailed]) -> Vec<&str> {
    letters.iter().map(|mailed| mailed.answer.split(' ').next().unwrap()).collect()
}

async fn told(running: &Running, words: &str) {
    until(words, async || page(running, MARIA).await.contains(words)).await;
}

#[tokio::test]
async fn customers_are_told_a_day_ahead_by_mail() {
    let post = post(json!({ "answers": ["451 4.3.2 come back"] })).await;
    let here = installed(&post);
    let doctor = here.cli(&["doctor"]).await;
    assert!(doctor.out.contains(&format!("✓ mail server 127.0.0.1:{}", post.port)), "{doctor:?}");
    here.cli(&["config", "check"]).await.expect(0, &[]);
    let running = here.start().await;
    let start = chrono::Utc::now() + chrono::Duration::hours(24) + chrono::Duration::seconds(2);
    let start = start.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    said(&running, MARIA, &format!("schedule web-shop-v1.2.0 {start}")).await;
    let taken = || {
        let letters = post.letters();
        let taken = letters.iter().filter(|mailed| mailed.answer == "250 OK");
        taken.filter(|mailed| mailed.raw.contains("No downtime")).count()
    };
    until("the letter is taken", async || taken() > 0).await;
    until("it is quiet", async || quiet(&running).await).await;
    assert!(running.stopped().await.success());
    // A new start says nothing twice.
    let running = here.start().await;
    until("it is quiet again", async || quiet(&running).await).await;
    assert!(running.stopped().await.success());
    let letters = post.letters();
    assert_eq!(answers(&letters)[0], "451");
    let first = letters[0].header("Message-ID");
    let same: Vec<_> = letters.iter().filter(|it| it.header("Message-ID") == first).collect();
    assert_eq!(same.len(), 2, "put off, then taken, under one id: {letters:#?}");
    assert_eq!(taken(), 1);
    let day_ahead = letters.iter().find(|mailed| mailed.raw.contains("No downtime")).unwrap();
    assert_eq!(day_ahead.recipients, [ANN, BEN]);
    assert!(day_ahead.login);
    assert!(day_ahead.subject().contains("We're launching"), "{}", day_ahead.subject());
    let read = day_ahead.read();
    for part in ["text/plain", "text/html"] {
        assert!(read[part].as_str().unwrap().contains("No downtime expected"), "{read}");
    }
    assert_kept_secret(&here);
}

#[tokio::test]
async fn a_letter_that_is_refused_is_told_to_the_captain() {
    let post = post(json!({ "answers": ["550 5.7.1 not from ann@customer.example"] })).await;
    let here = installed(&post);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 20h").await;
    told(&running, "I could not deliver a message to email:customers").await;
    until("it is quiet", async || quiet(&running).await).await;
    assert_eq!(answers(&post.had(1).await), ["550"]);
    let audit = said(&running, MARIA, "audit v1.2.0 --last 50").await;
    assert!(audit.contains("email:customers"), "{audit}");
    for text in [&audit, &page(&running, MARIA).await] {
        assert_discreet(text);
    }
    assert!(running.stopped().await.success());
    assert_kept_secret(&here);
}

#[tokio::test]
async fn a_list_that_was_reached_in_part_is_told_to_the_captain() {
    let post = post(json!({ "recipients": { BEN: "550 5.1.1 ben has left" } })).await;
    let here = installed(&post);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 20h").await;
    told(&running, "I could not deliver every copy of a message to email:customers").await;
    told(&running, "1 of the 2 recipients").await;
    until("it is quiet", async || quiet(&running).await).await;
    assert_eq!(answers(&post.had(1).await), ["250"]);
    assert!(running.stopped().await.success());
    assert_kept_secret(&here);
}

#[tokio::test]
async fn a_wrong_password_is_told_to_the_captain_and_to_the_doctor() {
    let post = post(json!({})).await;
    let here = installed(&post).with_env("MAIL_PASSWORD", "the-old-one");
    let parts = ["✗ mail server", "refused the login (535)", "[mail] user and password"];
    here.cli(&["doctor"]).await.expect(1, &parts);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 20h").await;
    told(&running, "refused the login (535)").await;
    until("it is quiet", async || quiet(&running).await).await;
    // By each of them once.
    post.had_tries(2).await;
    post.had(0).await;
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn a_letter_that_may_have_arrived_is_not_sent_again() {
    let post = post(json!({ "answers": ["drop"] })).await;
    let here = installed(&post);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 20h").await;
    told(&running, "I cannot tell whether a message reached email:customers").await;
    until("it is quiet", async || quiet(&running).await).await;
    assert!(running.stopped().await.success());
    let running = here.start().await;
    until("it is quiet again", async || quiet(&running).await).await;
    assert_eq!(answers(&post.had(1).await), ["drop"]);
    assert!(running.stopped().await.success());
}

#[tokio::test]
async fn killed_while_the_server_has_the_letter_it_is_not_sent_again() {
    let post = post(json!({ "answers": ["hang"] })).await;
    let here = installed(&post);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 20h").await;
    post.had(1).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.process()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert!(!running.ended().await.success());
    let running = here.start().await;
    told(&running, "I cannot tell whether a message reached email:customers").await;
    until("it is quiet", async || quiet(&running).await).await;
    assert_eq!(answers(&post.had(1).await), ["hang"]);
    assert!(running.stopped().await.success());
    assert_kept_secret(&here);
}

#[tokio::test]
async fn a_plan_cannot_write_headers() {
    let post = post(json!({})).await;
    let here = installed(&post);
    let sample = std::fs::read_to_string("config/plans/web-shop-v1.2.0.toml").unwrap();
    let sly = r#"name = "Web shop\r\nBcc: eve@evil.example\r\n\r\n<script>""#;
    let lines = sample.lines().map(|line| match line.starts_with("name = \"Web shop\"") {
        true => sly,
        false => line,
    });
    let sample = lines.collect::<Vec<_>>().join("\n");
    assert!(sample.contains(sly), "the sample has a name for its service");
    here.write("plans/web-shop-v1.2.0.toml", &sample);
    let running = here.start().await;
    said(&running, MARIA, "schedule web-shop-v1.2.0 in 20h").await;
    let letters = post.had(1).await;
    assert!(running.stopped().await.success());
    assert_eq!(letters[0].recipients, [ANN, BEN]);
    assert!(letters[0].subject().contains("Web shop Bcc: eve@evil.example"), "{letters:#?}");
    assert!(!letters[0].headers().iter().any(|line| line.starts_with("Bcc")));
    let html = letters[0].read()["text/html"].to_string();
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
}
