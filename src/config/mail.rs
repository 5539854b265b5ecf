//! Mail: one server, and lists of those who get announcements.
//!
//! **Invariant:** no mistake quotes an address. What is wrong is told by its key and its line, since
//! it ends in logs and in terminals that others see.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::client::Certificate;

use super::file::{self, File, MailTls};
use super::judge::Judge;
use super::problem::excerpt;
use super::secret::Secret;
use crate::domain::time::Span;

/// A mail server, and the lists whose letters it takes.
#[derive(Debug, Clone)]
pub struct Mail {
    pub server: String,
    pub port: u16,
    pub tls: MailTls,
    /// Certificates of authorities that are trusted besides the public ones, as PEM.
    pub ca: Option<Vec<u8>>,
    pub login: Option<(String, Secret)>,
    /// What we call ourselves to the server.
    pub helo: Option<String>,
    /// For each single step of a delivery.
    pub timeout: Duration,
    pub from: Mailbox,
    pub lists: BTreeMap<String, MailList>,
}

#[derive(Debug, Clone)]
pub struct MailList {
    pub to: Vec<Address>,
    pub reply_to: Option<Mailbox>,
}

/// As many as every server takes at once (RFC 5321, 4.5.3.1.8).
const MOST_RECIPIENTS: usize = 100;

pub(super) fn mail(judge: &mut Judge<'_>, file: &File) -> Option<Mail> {
    let own = file.mail.as_ref()?;
    let lists = lists(judge, &own.lists);
    let server = server(judge, own);
    let from = from(judge, own);
    let login = login(judge, own);
    let ca = own.ca.as_deref().and_then(|ca| authorities(judge, "mail.ca", ca));
    if let Some(helo) = &own.helo
        && (helo.is_empty() || !helo.bytes().all(|b| is_of_host(b) || b"[]".contains(&b)))
    {
        let what = format!("`{}` is not a name that a server would take", excerpt(helo));
        judge.wrong("mail.helo", what, "write this machine's name, such as `bot.example`");
    }
    Some(Mail {
        port: port(judge, own),
        server: server?,
        tls: own.tls,
        ca,
        login,
        helo: own.helo.clone(),
        timeout: own.timeout.unwrap_or(Span::seconds(30)).into(),
        from: from?,
        lists,
    })
}

// ---------------------------------------------------------------------------------------------
// The server

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-:".contains(&byte)
}

fn server(judge: &mut Judge<'_>, own: &file::Mail) -> Option<String> {
    let Some(server) = &own.server else {
        missing(judge, "server", "server = \"smtp.example\"");
        return None;
    };
    if server.is_empty() || !server.bytes().all(is_of_host) {
        let what = format!("`{}` is not the name of a server", excerpt(server));
        judge.wrong("mail.server", what, "write a name or an address, and the port in `port`");
    }
    if own.tls == MailTls::None && !is_here(server) {
        let what = match own.password {
            Some(_) => "the password would cross the network in plain text",
            None => "every letter would cross the network in plain text",
        };
        let mend = "say \"starttls\" or \"implicit\"; \"none\" is for a server on this machine";
        judge.wrong("mail.tls", what, mend);
    }
    Some(server.clone())
}

fn missing(judge: &mut Judge<'_>, key: &str, example: &str) {
    if !judge.misread {
        let what = format!("[mail] has no `{key}`, so nothing can be sent");
        judge.wrong("mail", what, format!("add `{example}`"));
    }
}

fn is_here(server: &str) -> bool {
    server == "localhost" || server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn port(judge: &mut Judge<'_>, own: &file::Mail) -> u16 {
    let usual = match own.tls {
        MailTls::Starttls => 587,
        MailTls::Implicit => 465,
        MailTls::None => 25,
    };
    match own.port.map(u16::try_from) {
        None => usual,
        Some(Ok(port)) if port > 0 => port,
        Some(Ok(_) | Err(_)) => {
            judge.wrong("mail.port", "there is no such port", format!("{usual} is the usual one"));
            usual
        }
    }
}

fn login(judge: &mut Judge<'_>, own: &file::Mail) -> Option<(String, Secret)> {
    let password = own.password.as_ref().and_then(|from| judge.secret("mail.password", from));
    match (&own.user, &own.password) {
        (Some(_), None) if !judge.misread => {
            let mend = "add `password = { env = \"NAME\" }`, or leave `user` out";
            judge.wrong("mail.user", "there is a user and no password", mend);
        }
        (None, Some(_)) if !judge.misread => {
            let mend = "add `user`, or leave `password` out";
            judge.wrong("mail.password", "there is a password and no user", mend);
        }
        (Some(_) | None, Some(_) | None) => {}
    }
    Some((own.user.clone()?, password?))
}

/// The certificates in a file.
pub(super) fn authorities(judge: &mut Judge<'_>, key: &str, path: &Path) -> Option<Vec<u8>> {
    let path = judge.base.join(path);
    let mend = "name a file with certificates as PEM; relative paths begin at this file";
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(why) => {
            judge.wrong(key, format!("I cannot read {}: {why}", path.display()), mend);
            return None;
        }
    };
    let begins = b"-----BEGIN CERTIFICATE-----";
    let has_one = pem.windows(begins.len()).any(|window| window == begins);
    if !has_one || Certificate::from_pem(&pem).is_err() {
        judge.wrong(key, format!("{} holds no certificate", path.display()), mend);
    }
    Some(pem)
}

// ---------------------------------------------------------------------------------------------
// Addresses

fn from(judge: &mut Judge<'_>, own: &file::Mail) -> Option<Mailbox> {
    match &own.from {
        Some(text) => mailbox(judge, "mail.from", text),
        None => {
            missing(judge, "from", "from = \"Releases <releases@shop.example>\"");
            None
        }
    }
}

fn mailbox(judge: &mut Judge<'_>, key: &str, text: &str) -> Option<Mailbox> {
    let read = text.parse::<Mailbox>().ok();
    let read = read.filter(|read| !text.chars().any(char::is_control) && is_plain(&read.email));
    if read.is_none() {
        let mend = "write `name@host.example` or `Name <name@host.example>`";
        judge.wrong(key, "this is not one mail address", mend);
    }
    read
}

/// Letters of other scripts need servers that agree to them all the way.
fn is_plain(address: &Address) -> bool {
    address.user().is_ascii() && address.domain().is_ascii()
}

fn lists(
    judge: &mut Judge<'_>,
    files: &BTreeMap<String, file::MailList>,
) -> BTreeMap<String, MailList> {
    let mut lists = BTreeMap::new();
    for (name, list) in files {
        let key = format!("mail.lists.{name}");
        judge.slug(&key, "list", name);
        if list.to.is_empty() && !judge.misread {
            let mend = "add `to = [\"name@host.example\"]`, or leave the list out";
            judge.wrong(&key, format!("nobody is on the list `{}`", excerpt(name)), mend);
        }
        if list.to.len() > MOST_RECIPIENTS {
            let what = format!("a list has at most {MOST_RECIPIENTS} addresses");
            let mend = "keep a list of that length at the mail server, and name its one address";
            judge.wrong(&format!("{key}.to"), what, mend);
        }
        let reply_to = list.reply_to.as_ref();
        let reply_to = reply_to.and_then(|text| mailbox(judge, &format!("{key}.reply_to"), text));
        let to = recipients(judge, &format!("{key}.to"), &list.to);
        lists.insert(name.clone(), MailList { to, reply_to });
    }
    lists
}

fn recipients(judge: &mut Judge<'_>, key: &str, texts: &[String]) -> Vec<Address> {
    let mut known = BTreeSet::new();
    let mut to = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let key = format!("{key}[{index}]");
        match text.parse::<Address>() {
            Ok(address) if is_plain(&address) => {
                if !known.insert(text.to_lowercase()) {
                    let what = "this address is on the list already";
                    judge.wrong(&key, what, "leave it out: nobody gets a letter twice");
                }
                to.push(address);
            }
            Ok(_) => {
                let mend = "write its domain in the form that begins with `xn--`";
                judge.wrong(&key, "this mail address is not in plain letters", mend);
            }
            Err(_) => {
                let mend = "write `name@host.example`";
                judge.wrong(&key, "this is not a mail address", mend);
            }
        }
    }
    to
}
