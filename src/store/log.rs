//! The log: entries chained by their hashes, and the ways to read them.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool};

use super::CHUNK;
use super::fault::{Fault, fault};
use super::open::{self, OpenError};
use super::verify;

/// Entries fetched at a time: enough to make the round trip cheap, little enough to hold.
const PAGE: usize = 4096;

const SELECT: &str = "select seq, at, actor, request, release, schema, event, hash from log";

/// A SHA-256, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first entry names as the hash before it.
    pub const GENESIS: Self = Self([0; 32]);

    pub(super) fn of(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digits on the stack: a million of them are compared when the log is verified.
    pub(super) fn hex(&self) -> [u8; 64] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.hex()).expect("hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:.16}…")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hash; a hash has 64 lower-case hexadecimal digits")]
pub struct NotAHash(String);

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let wrong = || NotAHash(text.to_owned());
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| wrong())?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0]).ok_or_else(wrong)? << 4) | digit(pair[1]).ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

/// Upper case is refused: one hash has one spelling.
fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// Where the log ends. Written as `#412 sha256:<32 hex>`, which is what a witness keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub seq: u64,
    pub hash: Hash,
}

impl Head {
    /// The head of a log without entries.
    pub const GENESIS: Self = Self { seq: 0, hash: Hash::GENESIS };
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} sha256:{:.32}", self.seq, self.hash)
    }
}

/// What is to be written; its number and its hash follow from the entry before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    pub at: DateTime<Utc>,
    /// JSON, exactly the bytes that are hashed.
    pub actor: String,
    pub request: String,
    pub release: Option<String>,
    pub schema: u32,
    /// JSON, exactly the bytes that are hashed.
    pub event: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub seq: u64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub request: String,
    pub release: Option<String>,
    pub schema: u32,
    pub event: String,
    pub hash: Hash,
}

// ---------------------------------------------------------------------------------------------
// The chain

/// What is hashed of an entry, byte for byte as it is stored.
pub(super) struct Hashed<'a> {
    pub(super) seq: u64,
    pub(super) at: &'a str,
    pub(super) actor: &'a str,
    pub(super) request: &'a str,
    pub(super) release: Option<&'a str>,
    pub(super) schema: u32,
    pub(super) event: &'a str,
}

impl Hashed<'_> {
    /// SHA-256 over, in this order: the 32 bytes of the hash before (zeros before the first entry),
    /// `seq` (8 bytes, big-endian), `at`, `actor`, `request`, `release`, `schema` (4 bytes,
    /// big-endian), `event`. Each is preceded by its length in bytes (8 bytes, big-endian), so that
    /// nothing can move from one field into the next. An absent release is the length 2^64 − 1 and
    /// no bytes, which no text can be.
    pub(super) fn after(&self, previous: &Hash) -> Hash {
        let mut sha = Sha256::new();
        field(&mut sha, &previous.0);
        field(&mut sha, &self.seq.to_be_bytes());
        field(&mut sha, self.at.as_bytes());
        field(&mut sha, self.actor.as_bytes());
        field(&mut sha, self.request.as_bytes());
        match self.release {
            Some(release) => field(&mut sha, release.as_bytes()),
            None => sha.update(u64::MAX.to_be_bytes()),
        }
        field(&mut sha, &self.schema.to_be_bytes());
        field(&mut sha, self.event.as_bytes());
        Hash(sha.finalize().into())
    }
}

fn field(sha: &mut Sha256, bytes: &[u8]) {
    sha.update((bytes.len() as u64).to_be_bytes());
    sha.update(bytes);
}

/// A new entry with its place in the chain, ready to be inserted.
pub(super) struct Link<'a> {
    pub(super) seq: u64,
    at: String,
    new: &'a NewEntry,
    pub(super) hash: Hash,
}

/// Chains the entries to the head, in the order in which they come.
///
/// # Errors
/// Names the first entry that holds something other than JSON: `verify` would call it broken.
pub(super) fn chain(head: Head, entries: &[NewEntry]) -> Result<Vec<Link<'_>>, String> {
    let mut head = head;
    let mut links = Vec::with_capacity(entries.len());
    for new in entries {
        let seq = head.seq + 1;
        for (name, text) in [("actor", &new.actor), ("event", &new.event)] {
            json(text).map_err(|why| format!("the {name} of entry #{seq} is not JSON: {why}"))?;
        }
        let at = instant(new.at);
        let hashed = Hashed {
            seq,
            at: &at,
            actor: &new.actor,
            request: &new.request,
            release: new.release.as_deref(),
            schema: new.schema,
            event: &new.event,
        };
        let hash = hashed.after(&head.hash);
        links.push(Link { seq, at, new, hash });
        head = Head { seq, hash };
    }
    Ok(links)
}

pub(super) fn json(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| ())
}

/// The one spelling of an instant that is stored and hashed.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

pub(super) fn parse_instant(text: &str) -> sqlx::Result<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|why| sqlx::Error::Decode(format!("`{text}` is not a time: {why}").into()))
}

/// SQLite counts in signed numbers.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// One statement for many rows: single inserts cost several times as much.
pub(super) async fn append(conn: &mut SqliteConnection, links: &[Link<'_>]) -> sqlx::Result<()> {
    for chunk in links.chunks(CHUNK) {
        QueryBuilder::<Sqlite>::new(
            "insert into log (seq, at, actor, request, release, schema, event, hash) ",
        )
        .push_values(chunk, |mut row, link| {
            row.push_bind(signed(link.seq))
                .push_bind(&link.at)
                .push_bind(&link.new.actor)
                .push_bind(&link.new.request)
                .push_bind(link.new.release.as_deref())
                .push_bind(link.new.schema)
                .push_bind(&link.new.event)
                .push_bind(link.hash.to_string());
        })
        .build()
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

pub(super) async fn head(conn: &mut SqliteConnection) -> sqlx::Result<Head> {
    let last = sqlx::query("select seq, hash from log order by seq desc limit 1")
        .fetch_optional(conn)
        .await?;
    match last {
        Some(row) => Ok(Head { seq: row.try_get::<u64, _>("seq")?, hash: hash(&row)? }),
        None => Ok(Head::GENESIS),
    }
}

fn hash(row: &SqliteRow) -> sqlx::Result<Hash> {
    let text = row.try_get::<&str, _>("hash")?;
    text.parse().map_err(|why: NotAHash| sqlx::Error::Decode(why.into()))
}

fn entry(row: &SqliteRow) -> sqlx::Result<Entry> {
    Ok(Entry {
        seq: row.try_get("seq")?,
        at: parse_instant(row.try_get("at")?)?,
        actor: row.try_get("actor")?,
        request: row.try_get("request")?,
        release: row.try_get("release")?,
        schema: row.try_get("schema")?,
        event: row.try_get("event")?,
        hash: hash(row)?,
    })
}

/// The entries that these requests have left, by request; one that is not named left none.
pub(super) async fn answered(
    conn: &mut SqliteConnection,
    requests: &[String],
) -> Result<HashMap<String, Vec<Entry>>, ReadError> {
    let mut answered: HashMap<String, Vec<Entry>> = HashMap::new();
    for chunk in requests.chunks(CHUNK) {
        let mut query = QueryBuilder::<Sqlite>::new(SELECT);
        let mut list = query.push(" where request in (").separated(", ");
        for request in chunk {
            list.push_bind(request);
        }
        query.push(") order by seq");
        for row in query.build().fetch_all(&mut *conn).await? {
            let entry = entry(&row)?;
            answered.entry(entry.request.clone()).or_default().push(entry);
        }
    }
    Ok(answered)
}

// ---------------------------------------------------------------------------------------------
// Reading

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the log could not be read: {0}; `audit verify` tells whether it is damaged")]
    Failed(#[from] sqlx::Error),
    /// The first entry that is not what was written there.
    #[error("{}", verify::damaged(*seq, why))]
    Damaged { seq: u64, why: String },
}

/// Which entries are wanted; what is not given does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// The first and the last number, both included.
    pub first: Option<u64>,
    pub last: Option<u64>,
    pub release: Option<String>,
    pub request: Option<String>,
    /// From this instant on, and before that one.
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// Reads the log beside its writer, or when nobody runs; it cannot write.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) pool: SqlitePool,
}

impl Reader {
    /// Opens the log in the state directory `dir` for reading.
    pub async fn open(dir: &Path) -> Result<Self, OpenError> {
        open::reader(dir).await
    }

    pub async fn head(&self) -> Result<Head, ReadError> {
        let mut conn = self.pool.acquire().await?;
        Ok(head(&mut conn).await?)
    }

    /// All of them at once: for a release or a request, not for the whole log.
    pub async fn entries(&self, which: &Which) -> Result<Vec<Entry>, ReadError> {
        let mut pages = self.pages(which.clone());
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await? {
            entries.extend(page);
        }
        Ok(entries)
    }

    /// In order, a few thousand at a time: for a replay or an export of the whole log. Between two
    /// pages no lock is held, so that a slow consumer does not keep the writer from tidying up.
    pub fn pages(&self, which: Which) -> Pages {
        let after = which.first.unwrap_or(1).saturating_sub(1);
        Pages { reader: self.clone(), which, after: Some(after), size: PAGE, proven: None }
    }

    /// What follows this entry, each only after its place in the chain is proven: to act on it.
    pub fn proven_pages(&self, after: Head) -> Pages {
        let which = Which { first: Some(after.seq + 1), ..Which::default() };
        Pages { proven: Some(after), ..self.pages(which) }
    }

    /// Whether this is what the log says there, proven or not.
    pub async fn says(&self, head: Head) -> Result<bool, ReadError> {
        let found = sqlx::query_scalar::<_, String>("select hash from log where seq = ?")
            .bind(signed(head.seq))
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.is_some_and(|found| found.as_bytes() == head.hash.hex()))
    }

    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// The log, page by page.
#[derive(Debug)]
pub struct Pages {
    reader: Reader,
    which: Which,
    /// The last number that was read; nothing once the end was reached.
    after: Option<u64>,
    size: usize,
    /// Up to here the chain holds, where that is asked for.
    proven: Option<Head>,
}

impl Pages {
    /// The next page, never an empty one; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>, ReadError> {
        let Some(after) = self.after else { return Ok(None) };
        let mut query = select(&self.which, after, self.size);
        let rows = match query.build().fetch_all(&self.reader.pool).await {
            Ok(rows) => rows,
            Err(error) => return Err(self.unread(error)),
        };
        if let Some(head) = &mut self.proven {
            for row in &rows {
                let seq = head.seq + 1;
                *head =
                    verify::follow(*head, row).map_err(|why| ReadError::Damaged { seq, why })?;
            }
        }
        let page = rows.iter().map(entry).collect::<sqlx::Result<Vec<_>>>()?;
        let full = page.len() == self.size;
        self.after = page.last().filter(|_| full).map(|last| last.seq);
        Ok((!page.is_empty()).then_some(page))
    }

    /// A file that cannot be read in the middle is damaged after the last entry that was proven.
    fn unread(&self, error: sqlx::Error) -> ReadError {
        match self.proven {
            Some(head) if fault(&error) == Fault::Damaged => {
                let why = Fault::Damaged.explain(&error);
                ReadError::Damaged { seq: head.seq + 1, why }
            }
            Some(_) | None => error.into(),
        }
    }
}

/// Only the conditions that are given: the planner would not use an index behind an `or`.
fn select(which: &Which, after: u64, limit: usize) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(SELECT);
    query.push(" where seq > ").push_bind(signed(after));
    if let Some(last) = which.last {
        query.push(" and seq <= ").push_bind(signed(last));
    }
    if let Some(release) = &which.release {
        query.push(" and release = ").push_bind(release.clone());
    }
    if let Some(request) = &which.request {
        query.push(" and request = ").push_bind(request.clone());
    }
    if let Some(from) = which.from {
        query.push(" and at >= ").push_bind(instant(from));
    }
    if let Some(until) = which.until {
        query.push(" and at < ").push_bind(instant(until));
    }
    query.push(" order by seq limit ").push_bind(signed(limit as u64));
    query
}

#[cfg(test)]
mod tests {
    use super::super::testing::{entry, filled, noon};
    use super::*;

    fn numbers(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.seq).collect()
    }

    /// Computed with another program in another language, from the description alone. If this
    /// breaks, every log out there does.
    #[test]
    fn the_hash_is_the_one_that_was_promised() {
        let entry = |micros: i64, request: &str, release: Option<&str>, event: &str| NewEntry {
            at: DateTime::from_timestamp_micros(1_796_148_000_000_000 + micros).expect("in range"),
            actor: r#"{"person":"ann"}"#.to_owned(),
            request: request.to_owned(),
            release: release.map(str::to_owned),
            schema: 1,
            event: event.to_owned(),
        };
        let entries = [
            entry(1, "console/1", None, r#"{"held":{}}"#),
            entry(2, "console/2", Some("web/prod/1"), r#"{"said":"größer"}"#),
        ];
        let links = chain(Head::GENESIS, &entries).expect("both are JSON");
        let hashes: Vec<_> = links.iter().map(|link| link.hash.to_string()).collect();
        assert_eq!(
            hashes,
            [
                "d8ce21d4e158e9a8d47d1137a248ff44c2a288aaf2078798d9adc2afed2795a2",
                "0d9f2ecd0ef9fca806c3658490a5fe62f142eb33316c317a098dc6a39ab75400",
            ]
        );
    }

    #[test]
    fn nothing_moves_from_one_field_into_the_next() {
        let hash = |actor: &str, request: &str, release: Option<&str>| {
            let (actor, request) = (format!("\"{actor}\""), request.to_owned());
            let release = release.map(str::to_owned);
            let entries = [NewEntry { actor, request, release, ..entry(1) }];
            chain(Head::GENESIS, &entries).expect("JSON")[0].hash
        };
        assert_ne!(hash("ab", "c", None), hash("a", "bc", None));
        assert_ne!(hash("a", "bc", Some("")), hash("a", "b", Some("c")));
        assert_ne!(hash("a", "b", Some("")), hash("a", "b", None));
    }

    #[test]
    fn a_hash_reads_as_it_is_written_and_no_other_way() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<Hash>().expect("64 digits").to_string(), text);
        for wrong in [&text[1..], &text.to_uppercase(), &text.replace('f', "g"), ""] {
            assert!(wrong.parse::<Hash>().is_err(), "{wrong}");
        }
        let head = Head { seq: 412, hash: text.parse().expect("64 digits") };
        assert_eq!(head.to_string(), format!("#412 sha256:{}", "00ff".repeat(8)));
    }

    #[tokio::test]
    async fn pages_cover_everything_once_whatever_their_size() -> anyhow::Result<()> {
        let dir = filled(10).await?;
        let reader = Reader::open(dir.path()).await?;
        for size in 1..=11 {
            let mut pages = Pages { size, ..reader.pages(Which::default()) };
            let mut read = Vec::new();
            while let Some(page) = pages.next().await? {
                assert!((1..=size).contains(&page.len()));
                read.extend(page);
            }
            assert_eq!(numbers(&read), Vec::from_iter(1..=10), "in pages of {size}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn entries_are_found_by_number_release_request_and_time() -> anyhow::Result<()> {
        let dir = filled(10).await?;
        let reader = Reader::open(dir.path()).await?;
        let micros = |micros| Some(noon() + chrono::TimeDelta::microseconds(micros));
        let all = Which::default();
        let release = Some("web/prod/1".to_owned());
        let cases = [
            (Which { first: Some(3), last: Some(5), ..all.clone() }, vec![3, 4, 5]),
            (Which { release: release.clone(), ..all.clone() }, vec![1, 5, 7]),
            (Which { release, first: Some(2), last: Some(6), ..all.clone() }, vec![5]),
            (Which { request: Some("console/4".to_owned()), ..all.clone() }, vec![4]),
            (Which { from: micros(8), ..all.clone() }, vec![8, 9, 10]),
            (Which { from: micros(2), until: micros(4), ..all.clone() }, vec![2, 3]),
            (Which { request: Some("' or 1 --".to_owned()), ..all }, vec![]),
        ];
        for (which, expected) in cases {
            assert_eq!(numbers(&reader.entries(&which).await?), expected, "{which:?}");
        }
        Ok(())
    }
}
