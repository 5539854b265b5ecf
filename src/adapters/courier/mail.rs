//! Mails a letter to a list, in one transaction, so that it has one outcome.
//!
//! The recipients stand in the envelope alone: nobody on a list sees who else is on it. Up to the
//! moment at which the server agrees to take the text nothing has happened, and trying again is
//! safe; after it a lost connection leaves the outcome unknown, and a mailbox drops nothing that
//! comes twice, so the letter is not repeated.
//!
//! **Invariant:** what a server says of a recipient is told as a number only, and what it says of
//! anything else without addresses: a failure ends in the log.

mod html;
mod letter;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail as From, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use crate::ports::{Courier, Failure, Letter, Receipt};

/// The server and who writes.
#[derive(Clone)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    /// Certificates of authorities that are trusted besides the public ones, as PEM.
    pub ca: Option<Vec<u8>>,
    /// A user and a password.
    pub login: Option<(String, String)>,
    pub helo: Option<String>,
    /// For each single step.
    pub timeout: Duration,
    pub from: Mailbox,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Begins in plain text, and goes no further without TLS.
    Starttls,
    Implicit,
    None,
}

/// Those behind one name.
#[derive(Clone)]
pub struct List {
    pub to: Vec<Address>,
    pub reply_to: Option<Mailbox>,
}

pub struct Mail {
    server: Server,
    trust: Option<TlsParameters>,
    hello: ClientId,
    lists: BTreeMap<String, List>,
    /// Keys are unique within one installation, the ids of messages everywhere.
    installation: String,
}

/// How long a server may take to judge a text that it has, at least: many scan it meanwhile, and
/// nobody likes to hear that an outcome is unknown.
const JUDGING: Duration = Duration::from_secs(60);
/// Saying goodbye changes nothing any more.
const GOODBYE: Duration = Duration::from_secs(2);

impl Mail {
    pub fn new(
        server: Server,
        lists: BTreeMap<String, List>,
        installation: &str,
    ) -> Result<Self, Failure> {
        let trust = match server.tls {
            Tls::None => None,
            Tls::Starttls | Tls::Implicit => Some(trust(&server)?),
        };
        let hello = server.helo.clone().map_or_else(ClientId::default, ClientId::Domain);
        Ok(Self { server, trust, hello, lists, installation: installation.to_owned() })
    }

    /// Connects and logs in, and sends nothing.
    pub async fn look(&self) -> Result<(), Failure> {
        let line = self.connected().await?;
        goodbye(line).await;
        Ok(())
    }

    /// As people name it.
    pub fn name(&self) -> String {
        format!("the mail server {}:{}", self.server.host, self.server.port)
    }

    fn list(&self, name: &str) -> Result<&List, Failure> {
        self.lists.get(name).ok_or_else(|| {
            let known: Vec<_> = self.lists.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Failure::permanent(format!(
                "there is no list `{name}` (configured: {known}): add [mail.lists.{name}]"
            ))
        })
    }
}

fn trust(server: &Server) -> Result<TlsParameters, Failure> {
    let wrong = |why: smtp::Error| Failure::permanent(format!("[mail] ca cannot be used: {why}"));
    let mut trust = TlsParameters::builder(server.host.clone())
        .certificate_store(CertificateStore::WebpkiRoots);
    if let Some(pem) = &server.ca {
        trust = trust.add_root_certificate(Certificate::from_pem(pem).map_err(wrong)?);
    }
    trust.build_rustls().map_err(wrong)
}

#[async_trait]
impl Courier for Mail {
    async fn send(&self, to: &str, key: &str, letter: &Letter) -> Result<Receipt, Failure> {
        let list = self.list(to)?;
        let id = letter::id(&self.installation, key, &self.server.from);
        let text = letter::written(&self.server.from, list, &id, letter)?;
        let mut line = self.connected().await?;
        let sent = self.hand_over(&mut line, to, list, &text).await;
        // In the middle of a text, a goodbye would be part of it.
        if !matches!(sent, Err(Failure::Unknown { .. })) {
            goodbye(line).await;
        }
        sent
    }

    /// A mailbox shows what it gets, as often as it gets it.
    fn drops_repeats(&self) -> bool {
        false
    }
}

async fn goodbye(mut line: AsyncSmtpConnection) {
    let _ = timeout(GOODBYE, line.abort()).await;
}

// ---------------------------------------------------------------------------------------------
// One conversation with the server

impl Mail {
    async fn connected(&self) -> Result<AsyncSmtpConnection, Failure> {
        let Server { host, port, tls, .. } = &self.server;
        let implicit = self.trust.clone().filter(|_| *tls == Tls::Implicit);
        let at = (host.as_str(), *port);
        // The time for the connection alone would not cover a server that never greets.
        let connect = AsyncSmtpConnection::connect_tokio1(at, None, &self.hello, implicit, None);
        let mut line = self.step("connecting", connect).await?;
        if let Some(trust) = self.trust.clone().filter(|_| *tls == Tls::Starttls) {
            if !line.can_starttls() {
                goodbye(line).await;
                return Err(Failure::permanent(format!(
                    "{} offers no STARTTLS: look at [mail] port and tls",
                    self.name()
                )));
            }
            self.step("STARTTLS", line.starttls(trust, &self.hello)).await?;
        }
        match self.login(&mut line).await {
            Ok(()) => Ok(line),
            Err(failure) => {
                goodbye(line).await;
                Err(failure)
            }
        }
    }

    async fn login(&self, line: &mut AsyncSmtpConnection) -> Result<(), Failure> {
        let Some((user, password)) = &self.server.login else { return Ok(()) };
        let known = [Mechanism::Plain, Mechanism::Login];
        if line.server_info().get_auth_mechanism(&known).is_none() {
            return Err(Failure::permanent(format!(
                "{} offers no login by PLAIN or LOGIN: look at [mail] port and tls, or leave user \
                 and password out",
                self.name()
            )));
        }
        let credentials = Credentials::new(user.clone(), password.clone());
        let login = timeout(self.server.timeout, line.auth(&known, &credentials)).await;
        match login {
            Ok(Err(why)) if why.is_permanent() => Err(Failure::permanent(format!(
                "{} refused the login ({}): mend [mail] user and password",
                self.name(),
                code(&why)
            ))),
            Ok(Err(why)) => Err(self.failed("the login", &why)),
            Err(_) => Err(self.late("the login")),
            Ok(Ok(_)) => Ok(()),
        }
    }

    async fn hand_over(
        &self,
        line: &mut AsyncSmtpConnection,
        name: &str,
        list: &List,
        text: &[u8],
    ) -> Result<Receipt, Failure> {
        let from = From::new(Some(self.server.from.email.clone()), vec![]);
        self.step("the sender", line.command(from)).await?;
        let turned_away = self.address(line, list).await?;
        if turned_away.len() == list.to.len() {
            return Err(self.nobody(name, &turned_away));
        }
        self.step("DATA", line.command(Data)).await?;
        self.tell(line, text).await?;
        Ok(match turned_away.is_empty() {
            true => Receipt::Whole,
            false => Receipt::Partly { why: self.partly(name, list.to.len(), &turned_away) },
        })
    }

    /// Names the recipients one by one; with what each was turned away that was.
    async fn address(
        &self,
        line: &mut AsyncSmtpConnection,
        list: &List,
    ) -> Result<Vec<smtp::Error>, Failure> {
        let mut turned_away = Vec::new();
        for to in &list.to {
            let rcpt = line.command(Rcpt::new(to.clone(), vec![]));
            match timeout(self.server.timeout, rcpt).await {
                Ok(Ok(_)) => {}
                Ok(Err(why)) if why.status().is_some() && code(&why) != "421" => {
                    turned_away.push(why);
                }
                Ok(Err(why)) => return Err(self.failed("the recipients", &why)),
                Err(_) => return Err(self.late("the recipients")),
            }
        }
        Ok(turned_away)
    }

    /// From its first byte on, only an answer tells what became of it.
    async fn tell(&self, line: &mut AsyncSmtpConnection, text: &[u8]) -> Result<(), Failure> {
        let patience = self.server.timeout.max(JUDGING);
        match timeout(patience, line.message(text)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) if why.status().is_some() => Err(self.failed("the letter", &why)),
            Ok(Err(_)) | Err(_) => Err(Failure::unknown(format!(
                "{} had the letter and did not say whether it took it. It is not sent again, since \
                 its readers might get it twice",
                self.name()
            ))),
        }
    }
}

// ---------------------------------------------------------------------------------------------
// What it means that something failed

impl Mail {
    /// A step before the letter: whatever goes wrong in it, nothing was sent.
    async fn step<T>(
        &self,
        what: &str,
        step: impl Future<Output = Result<T, smtp::Error>>,
    ) -> Result<T, Failure> {
        match timeout(self.server.timeout, step).await {
            Ok(done) => done.map_err(|why| self.failed(what, &why)),
            Err(_) => Err(self.late(what)),
        }
    }

    fn late(&self, what: &str) -> Failure {
        let seconds = self.server.timeout.as_secs();
        Failure::transient(format!("{} did not answer within {seconds} s: {what}", self.name()))
    }

    fn failed(&self, what: &str, why: &smtp::Error) -> Failure {
        let name = self.name();
        if why.status().is_some() {
            let said = format!("{name} answered {} to {what}: {}", code(why), words(why));
            return match why.is_transient() {
                true => Failure::transient(said),
                false => Failure::permanent(said),
            };
        }
        if is_distrust(why) {
            return Failure::permanent(format!(
                "{name} cannot be trusted: {}. Look at [mail] server, tls and ca",
                words(why)
            ));
        }
        Failure::transient(format!("{name} cannot be reached ({what}): {}", words(why)))
    }

    /// Only those who are put off for now may be asked again.
    fn nobody(&self, name: &str, turned_away: &[smtp::Error]) -> Failure {
        let all = turned_away.len();
        let which = if all == 1 { "the only recipient" } else { "every recipient" };
        let codes = codes(turned_away);
        let said = format!("{} turned away {which} of `{name}` ({codes})", self.name());
        match turned_away.iter().any(smtp::Error::is_transient) {
            true => Failure::transient(said),
            false => Failure::permanent(format!("{said}: mend [mail.lists.{name}]")),
        }
    }

    /// Nobody is asked again: who has the letter would get it twice.
    fn partly(&self, name: &str, all: usize, turned_away: &[smtp::Error]) -> String {
        let (out, codes) = (turned_away.len(), codes(turned_away));
        let have = match all - out {
            1 => "one other has".to_owned(),
            others => format!("{others} others have"),
        };
        format!(
            "{} turned away {out} of the {all} recipients of `{name}` ({codes}); the {have} the \
             letter. Look at [mail.lists.{name}]",
            self.name()
        )
    }
}

fn code(why: &smtp::Error) -> String {
    why.status().map(|code| code.to_string()).unwrap_or_default()
}

fn codes(turned_away: &[smtp::Error]) -> String {
    let mut codes: Vec<String> = turned_away.iter().map(code).collect();
    codes.sort();
    codes.dedup();
    codes.join(", ")
}

/// The certificate or the protocol is wrong, and stays so; a line that broke in the handshake is
/// only a line that broke.
fn is_distrust(why: &smtp::Error) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(why), |why| why.source());
    let invalid = |why: &(dyn std::error::Error + 'static)| {
        let why = why.downcast_ref::<io::Error>();
        why.is_some_and(|why| why.kind() == io::ErrorKind::InvalidData)
    };
    why.is_tls() || causes.any(invalid)
}

/// The cause in one short line, without anybody's address.
fn words(why: &smtp::Error) -> String {
    let text = std::error::Error::source(why).map_or_else(|| why.to_string(), ToString::to_string);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let shown = words.filter(|word| !word.is_empty());
    let shown = shown.map(|word| if word.contains('@') { "…" } else { word });
    shown.collect::<Vec<_>>().join(" ").chars().take(200).collect()
}
