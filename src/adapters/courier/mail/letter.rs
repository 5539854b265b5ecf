//! A letter as a message of RFC 5322: plain text, and the same as HTML for those who want it.

use std::fmt::Write;

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use sha2::{Digest, Sha256};

use super::{List, html};
use crate::ports::{Failure, Letter};

/// Longer subjects are cut: no list of mails shows more.
const LONGEST_SUBJECT: usize = 150;

/// The same for the same letter, and for no other one anywhere.
pub(super) fn id(installation: &str, key: &str, from: &Mailbox) -> String {
    let digest = Sha256::digest(format!("{installation}/{key}"));
    let mut hex = String::with_capacity(32);
    for byte in &digest[..16] {
        write!(hex, "{byte:02x}").expect("a string takes everything");
    }
    format!("<{hex}@{}>", from.email.domain())
}

/// What goes over the line.
pub(super) fn written(
    from: &Mailbox,
    list: &List,
    id: &str,
    letter: &Letter,
) -> Result<Vec<u8>, Failure> {
    let cannot = |why: String| Failure::permanent(format!("the letter cannot be written: {why}"));
    let envelope = Envelope::new(Some(from.email.clone()), list.to.clone());
    let envelope = envelope.map_err(|why| cannot(why.to_string()))?;
    let subject = subject(&letter.subject);
    let mut message = Message::builder()
        .envelope(envelope)
        .from(from.clone())
        .raw_header(header("To", "undisclosed-recipients:;"))
        .subject(subject.as_str())
        .message_id(Some(id.to_owned()))
        .date_now()
        // No machine shall answer a machine (RFC 3834).
        .raw_header(header("Auto-Submitted", "auto-generated"));
    if let Some(reply_to) = &list.reply_to {
        message = message.reply_to(reply_to.clone());
    }
    let both = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, letter.text.clone()))
        .singlepart(part(ContentType::TEXT_HTML, html::page(&subject, &letter.body)));
    let message = message.multipart(both).map_err(|why| cannot(why.to_string()))?;
    Ok(message.formatted())
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// Always in plain letters on the line, whatever the server can take.
fn part(kind: ContentType, text: String) -> SinglePart {
    SinglePart::builder().header(kind).header(ContentTransferEncoding::QuotedPrintable).body(text)
}

/// One line: what looks like another header stays words.
fn subject(lead: &str) -> String {
    let line: String = lead.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_SUBJECT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
