//! Proving that the log is what was written: every hash again, from the first entry on.

use std::fmt;
use std::str::FromStr;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tokio_stream::StreamExt;

use super::fault::{Fault, fault};
use super::log::{Hash, Hashed, Head, ReadError, Reader, json, parse_instant};

/// Entries between two breaths, so that a verification does not keep a thread from all others.
const BREATH: u64 = 1024;

/// Fewer digits of a hash than this could be met by trying.
const FEWEST_DIGITS: usize = 16;

/// What somebody outside has seen of the log. A chain cannot show that its tail was cut; a witness
/// can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    pub seq: u64,
    /// The first digits of the hash, lower case.
    digits: String,
}

impl From<Head> for Witness {
    fn from(head: Head) -> Self {
        Self { seq: head.seq, digits: format!("{:.32}", head.hash) }
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} sha256:{}", self.seq, self.digits)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a witness; write it as `#412 sha256:…` or `412:…` with 16 to 64 hex digits")]
pub struct NotAWitness(String);

impl FromStr for Witness {
    type Err = NotAWitness;

    /// Takes `#412 sha256:<hex>`, as it stands in the chat, and `412:<hex>`.
    fn from_str(text: &str) -> Result<Self, NotAWitness> {
        let wrong = || NotAWitness(text.to_owned());
        let (seq, digits) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
        let seq = seq.strip_suffix("sha256").map_or(seq, str::trim_end);
        let seq = seq.strip_prefix('#').unwrap_or(seq).parse().map_err(|_| wrong())?;
        let long = (FEWEST_DIGITS..=64).contains(&digits.len());
        if !long || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        Ok(Self { seq, digits: digits.to_ascii_lowercase() })
    }
}

/// What verifying has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Every entry is what was written, up to this head.
    Verified { entries: u64, head: Head },
    /// The first entry that is not, or that should be there and is not.
    Broken { seq: u64, why: String },
}

/// Reads the whole log in one consistent view, beside a writer if there is one.
///
/// # Errors
/// Only when it cannot be read at all; whatever is wrong with what it holds is a [`Finding`].
pub async fn verify(reader: &Reader, against: Option<&Witness>) -> Result<Finding, ReadError> {
    // One statement to the end and no bound on the number: a page boundary or a negative number
    // would be a place to hide an entry.
    let log = "select seq, at, actor, request, release, schema, event, hash from log order by seq";
    let mut rows = sqlx::query(log).fetch(&reader.pool);
    let mut head = Head::GENESIS;
    let found = |head: Head, why| Ok(Finding::Broken { seq: head.seq + 1, why });
    if let Some(why) = disagreement(against, head) {
        return Ok(Finding::Broken { seq: 0, why });
    }
    while let Some(row) = rows.next().await {
        let row = match row {
            Ok(row) => row,
            Err(error) if fault(&error) == Fault::Damaged => {
                return found(head, Fault::Damaged.explain(&error));
            }
            Err(error) => return Err(error.into()),
        };
        let next = match follow(head, &row) {
            Ok(next) => next,
            Err(why) => return found(head, why),
        };
        if let Some(why) = disagreement(against, next) {
            return found(head, why);
        }
        head = next;
        if head.seq.is_multiple_of(BREATH) {
            tokio::task::yield_now().await;
        }
    }
    Ok(end(head, against))
}

/// The head after this entry, if it is the one that was written there.
fn follow(head: Head, row: &SqliteRow) -> Result<Head, String> {
    let seq = number(head, row)?;
    let entry = hashed(seq, row).map_err(|why| format!("entry #{seq} cannot be read: {why}"))?;
    let stored = row.try_get::<&str, _>("hash").map_err(|why| why.to_string())?;
    let hash = entry.after(&head.hash);
    if stored.as_bytes() != hash.hex() {
        return Err(changed(seq, stored, &hash));
    }
    for (name, text) in [("actor", entry.actor), ("event", entry.event)] {
        json(text).map_err(|why| format!("the {name} of entry #{seq} is not JSON: {why}"))?;
    }
    parse_instant(entry.at).map_err(|why| format!("entry #{seq} has no time: {why}"))?;
    Ok(Head { seq, hash })
}

fn number(head: Head, row: &SqliteRow) -> Result<u64, String> {
    let expected = head.seq + 1;
    let seq = row.try_get::<i64, _>("seq").map_err(|why| why.to_string())?;
    if u64::try_from(seq) == Ok(expected) {
        return Ok(expected);
    }
    Err(match u64::try_from(seq) {
        Ok(seq) if seq > expected => {
            format!("entry #{expected} is missing: #{} is followed by #{seq}", head.seq)
        }
        Ok(_) | Err(_) => format!("where entry #{expected} should be stands one numbered {seq}"),
    })
}

fn hashed(seq: u64, row: &SqliteRow) -> sqlx::Result<Hashed<'_>> {
    Ok(Hashed {
        seq,
        at: row.try_get("at")?,
        actor: row.try_get("actor")?,
        request: row.try_get("request")?,
        release: row.try_get("release")?,
        schema: row.try_get("schema")?,
        event: row.try_get("event")?,
    })
}

fn changed(seq: u64, stored: &str, hash: &Hash) -> String {
    format!(
        "entry #{seq} is not what was written there: it was changed, replaced or moved (its hash \
         is {stored:.16}…, its content after #{} gives {hash:.16}…)",
        seq - 1
    )
}

/// Why the witness speaks against this head, if it was seen and does.
fn disagreement(against: Option<&Witness>, head: Head) -> Option<String> {
    let witness = against.filter(|witness| witness.seq == head.seq)?;
    let agrees = head.hash.hex().starts_with(witness.digits.as_bytes());
    (!agrees).then(|| {
        format!(
            "the log says {head}, the witness says {witness}: this entry, or one before it, was \
             written anew"
        )
    })
}

fn end(head: Head, against: Option<&Witness>) -> Finding {
    match against {
        Some(witness) if witness.seq > head.seq => Finding::Broken {
            seq: head.seq + 1,
            why: format!(
                "entry #{} is missing: the log ends at #{}, but {witness} was seen, so its tail \
                 was cut",
                head.seq + 1,
                head.seq
            ),
        },
        Some(_) | None => Finding::Verified { entries: head.seq, head },
    }
}
