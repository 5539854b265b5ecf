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

/// What to do about a log that is damaged.
pub const MEND: &str =
    "restore the state directory from a backup, and let `tminus audit verify` prove it";

/// What whoever starts a damaged log is told.
pub fn damaged(seq: u64, why: &str) -> String {
    format!("The log is damaged at entry #{seq}: {why}. To go on, {MEND}.")
}

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
    let found = end(head, against);
    if !matches!(found, Finding::Broken { .. })
        && let Some(why) = astray(reader).await?
    {
        return Ok(Finding::Broken { seq: head.seq, why });
    }
    Ok(found)
}

/// What is looked up by a release or a request is found by an index, which no hash covers: one that
/// leaves an entry out hides it from whoever asks for its release.
async fn astray(reader: &Reader) -> Result<Option<String>, ReadError> {
    let said: String =
        match sqlx::query_scalar("pragma integrity_check(1)").fetch_one(&reader.pool).await {
            Ok(said) => said,
            Err(error) if fault(&error) == Fault::Damaged => Fault::Damaged.explain(&error),
            Err(error) => return Err(error.into()),
        };
    Ok((said != "ok").then(|| format!("an index or a page of the file is not what it was: {said}")))
}

/// The head after this entry, if it is the one that was written there.
pub(super) fn follow(head: Head, row: &SqliteRow) -> Result<Head, String> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sqlx::Connection;

    use super::super::log::chain;
    use super::super::testing::{cheat, entry, filled, raw};
    use super::*;

    const COUNT: u64 = 6;

    /// Does it to a log of six entries, and answers what is found.
    async fn after(tampering: &'static str) -> anyhow::Result<Finding> {
        let dir = filled(COUNT).await?;
        let mut conn = cheat(dir.path()).await?;
        sqlx::raw_sql(tampering).execute(&mut conn).await?;
        conn.close().await?;
        Ok(verify(&Reader::open(dir.path()).await?, None).await?)
    }

    /// What is said to whoever wants to act on such a log.
    async fn replayed(tampering: &'static str) -> anyhow::Result<String> {
        let dir = filled(COUNT).await?;
        let mut conn = cheat(dir.path()).await?;
        sqlx::raw_sql(tampering).execute(&mut conn).await?;
        conn.close().await?;
        let mut pages = Reader::open(dir.path()).await?.proven_pages(Head::GENESIS);
        Ok(pages.next().await.expect_err("it is damaged").to_string())
    }

    fn broken(found: Finding) -> (u64, String) {
        match found {
            Finding::Broken { seq, why } => (seq, why),
            Finding::Verified { entries, .. } => panic!("{entries} entries were called whole"),
        }
    }

    #[tokio::test]
    async fn a_log_as_it_was_written_is_verified() -> anyhow::Result<()> {
        for count in [0, 1, 3000] {
            let dir = filled(count).await?;
            let reader = Reader::open(dir.path()).await?;
            let head = reader.head().await?;
            let whole = Finding::Verified { entries: count, head };
            assert_eq!(verify(&reader, None).await?, whole);
            assert_eq!(verify(&reader, Some(&head.into())).await?, whole);
        }
        Ok(())
    }

    #[tokio::test]
    async fn every_changed_field_is_found_where_it_was_changed() -> anyhow::Result<()> {
        for tampering in [
            "update log set at = '2026-12-01T12:00:00.000009Z' where seq = 4",
            "update log set at = replace(at, 'Z', '+00:00') where seq = 4",
            "update log set actor = '{\"person\":\"bob\"}' where seq = 4",
            "update log set request = 'console/5' where seq = 4",
            "update log set release = 'web/prod/2' where seq = 4",
            "update log set release = null where seq = 4",
            "update log set schema = 2 where seq = 4",
            "update log set event = replace(event, '4', '5') where seq = 4",
            "update log set event = event || ' ' where seq = 4",
            "update log set hash = (select hash from log where seq = 3) where seq = 4",
            "update log set hash = upper(hash) where seq = 4",
        ] {
            let (seq, why) = broken(after(tampering).await?);
            assert_eq!(seq, 4, "{tampering}: {why}");
            let said = replayed(tampering).await?;
            assert_eq!(said, format!("The log is damaged at entry #4: {why}. To go on, {MEND}."));
            assert!(why.starts_with("entry #4 is not what was written there"), "{why}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn an_absent_release_is_not_an_empty_one() -> anyhow::Result<()> {
        let (seq, _) = broken(after("update log set release = '' where seq = 3").await?);
        assert_eq!(seq, 3);
        Ok(())
    }

    #[tokio::test]
    async fn removed_added_and_moved_entries_are_found() -> anyhow::Result<()> {
        let add = "insert into log select ";
        let rest = ", at, actor, request, release, schema, event, hash from log where seq = 2";
        for (tampering, first, said) in [
            ("delete from log where seq = 4", 4, "entry #4 is missing: #3 is followed by #5"),
            ("delete from log where seq = 1", 1, "entry #1 is missing"),
            ("delete from log where seq < 4", 1, "#0 is followed by #4"),
            ("update log set seq = 9 where seq = 6", 6, "#5 is followed by #9"),
            (
                "delete from log where seq = 4; update log set seq = seq - 1 where seq > 4",
                4,
                "changed, replaced or moved",
            ),
            (
                "update log set seq = -seq where seq in (2, 3); \
                 update log set seq = 5 + seq where seq < 0",
                2,
                "changed, replaced or moved",
            ),
            (concat_static(add, "7", rest), 7, "changed, replaced or moved"),
            (concat_static(add, "0", rest), 1, "stands one numbered 0"),
            (concat_static(add, "-3", rest), 1, "stands one numbered -3"),
            (
                "update log set seq = seq + 100 where seq > 2; \
                 update log set seq = seq - 99 where seq > 100; \
                 insert into log select 3, at, actor, request, release, schema, event, hash \
                 from log where seq = 2",
                3,
                "changed, replaced or moved",
            ),
        ] {
            let (seq, why) = broken(after(tampering).await?);
            assert_eq!(seq, first, "{tampering}: {why}");
            assert!(why.contains(said), "{tampering}: {why}");
        }
        Ok(())
    }

    fn concat_static(add: &str, seq: &str, rest: &str) -> &'static str {
        format!("{add}{seq}{rest}").leak()
    }

    #[tokio::test]
    async fn a_table_that_was_made_anew_hides_nothing() -> anyhow::Result<()> {
        let without_key = "create table copy as select * from log; \
            insert into copy select * from log where seq = 2; \
            pragma foreign_keys = off; drop table log; alter table copy rename to log";
        let (seq, why) = broken(after(without_key).await?);
        assert_eq!((seq, why.contains("stands one numbered 2")), (3, true), "{why}");

        let blob = "create table copy as select seq, at, actor, request, release, schema, \
            cast(event as blob) as event, hash from log; drop table log; \
            alter table copy rename to log";
        let (seq, why) = broken(after(blob).await?);
        assert_eq!((seq, why.contains("cannot be read")), (1, true), "{why}");
        Ok(())
    }

    /// The hash fits, so only somebody who can compute it was here.
    #[tokio::test]
    async fn a_forged_entry_that_is_not_json_or_has_no_time_is_found() -> anyhow::Result<()> {
        for (at, actor, event, said) in [
            ("2026-12-01T12:00:00.000007Z", "{}", "{\"a\":", "the event of entry #7 is not JSON"),
            ("2026-12-01T12:00:00.000007Z", "ann", "{}", "the actor of entry #7 is not JSON"),
            ("noon", "{}", "{}", "entry #7 has no time"),
        ] {
            let dir = filled(COUNT).await?;
            let head = Reader::open(dir.path()).await?.head().await?;
            let forged =
                Hashed { seq: 7, at, actor, request: "r", release: None, schema: 1, event };
            let insert = "insert into log (seq, at, actor, request, schema, event, hash) \
                values (7, ?, ?, 'r', 1, ?, ?)";
            sqlx::query(insert)
                .bind(at)
                .bind(actor)
                .bind(event)
                .bind(forged.after(&head.hash).to_string())
                .execute(&mut raw(dir.path()).await?)
                .await?;
            let (seq, why) = broken(verify(&Reader::open(dir.path()).await?, None).await?);
            assert_eq!(seq, 7);
            assert!(why.contains(said), "{why}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_cut_tail_is_seen_only_by_a_witness() -> anyhow::Result<()> {
        let dir = filled(COUNT).await?;
        let witness = Witness::from(Reader::open(dir.path()).await?.head().await?);
        let mut conn = cheat(dir.path()).await?;
        sqlx::query("delete from log where seq > 4").execute(&mut conn).await?;
        let reader = Reader::open(dir.path()).await?;
        assert!(matches!(verify(&reader, None).await?, Finding::Verified { entries: 4, .. }));
        let (seq, why) = broken(verify(&reader, Some(&witness)).await?);
        assert_eq!(seq, 5);
        assert!(why.contains("the log ends at #4, but #6 sha256:"), "{why}");
        Ok(())
    }

    #[tokio::test]
    async fn a_history_written_anew_is_seen_only_by_a_witness() -> anyhow::Result<()> {
        let dir = filled(COUNT).await?;
        let witness = Witness::from(Reader::open(dir.path()).await?.head().await?);
        let mut anew: Vec<_> = (1..=COUNT).map(entry).collect();
        anew[1].event = "{}".to_owned();
        let links = chain(Head::GENESIS, &anew).map_err(anyhow::Error::msg)?;
        let mut conn = cheat(dir.path()).await?;
        for (link, new) in links.iter().zip(&anew) {
            sqlx::query("update log set event = ?, hash = ? where seq = ?")
                .bind(&new.event)
                .bind(link.hash.to_string())
                .bind(i64::try_from(link.seq)?)
                .execute(&mut conn)
                .await?;
        }
        let reader = Reader::open(dir.path()).await?;
        assert!(matches!(verify(&reader, None).await?, Finding::Verified { entries: 6, .. }));
        let (seq, why) = broken(verify(&reader, Some(&witness)).await?);
        assert_eq!((seq, why.contains("written anew")), (6, true), "{why}");
        Ok(())
    }

    #[tokio::test]
    async fn damage_to_the_file_itself_is_found() -> anyhow::Result<()> {
        let dir = filled(3000).await?;
        let path = dir.path().join("tminus.db");
        let mut bytes = std::fs::read(&path)?;
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        std::fs::write(&path, bytes)?;
        broken(verify(&Reader::open(dir.path()).await?, None).await?);
        Ok(())
    }

    /// The entries themselves are all there; whoever asks for those of a release misses one.
    #[tokio::test]
    async fn an_index_that_hides_an_entry_is_found() -> anyhow::Result<()> {
        let found = after(
            "drop index log_by_release; \
             create index log_by_release on log (release) where release is not null and seq % 2 = 0; \
             pragma writable_schema = on; \
             update sqlite_schema set sql = 'CREATE INDEX log_by_release on log (release) \
             where release is not null' where name = 'log_by_release'",
        )
        .await?;
        let (_, why) = broken(found);
        assert!(why.contains("log_by_release"), "{why}");
        Ok(())
    }

    #[test]
    fn a_witness_is_taken_as_the_chat_shows_it() {
        let digits = "0123456789abcdef".repeat(2);
        let expected = Witness { seq: 412, digits: digits.clone() };
        for text in [
            format!("#412 sha256:{digits}"),
            format!("  412:{digits}\n"),
            format!("#412:{digits}"),
            format!("412 sha256:{}", digits.to_uppercase()),
        ] {
            assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
        }
        assert_eq!(expected.to_string(), format!("#412 sha256:{digits}"));
        for text in
            ["", "412", "#412 sha256:", "412:0123", "412:0123456789abcdeg", "x:0123456789abcdef"]
        {
            let error = text.parse::<Witness>().expect_err(text);
            assert!(error.to_string().contains("write it as `#412 sha256:"), "{error}");
        }
    }

    const FIELDS: [&str; 6] = ["at", "actor", "request", "release", "event", "hash"];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_changed_byte_of_any_field_is_found(
            seq in 1..=COUNT,
            field in prop::sample::select(FIELDS.to_vec()),
            place in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let found = runtime
                .block_on(flipped(seq, field, place, flip))
                .map_err(|why| TestCaseError::fail(why.to_string()))?;
            if let Some(found) = found {
                prop_assert_eq!(broken(found).0, seq);
            }
        }

        #[test]
        fn any_changed_number_is_found(
            seq in 1..=COUNT, other in any::<u32>(), schema in any::<bool>(),
        ) {
            let (column, old) = if schema { ("schema", 1) } else { ("seq", seq) };
            prop_assume!(u64::from(other) != old && (schema || u64::from(other) > COUNT));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let sql = format!("update log set {column} = {other} where seq = {seq}");
            let found = runtime
                .block_on(after(sql.leak()))
                .map_err(|why| TestCaseError::fail(why.to_string()))?;
            prop_assert_eq!(broken(found).0, seq);
        }
    }

    /// Nothing if the field is absent in this entry.
    async fn flipped(
        seq: u64,
        field: &'static str,
        place: prop::sample::Index,
        flip: u8,
    ) -> anyhow::Result<Option<Finding>> {
        let dir = filled(COUNT).await?;
        let mut conn = cheat(dir.path()).await?;
        let seq = i64::try_from(seq)?;
        let read = format!("select cast({field} as blob) from log where seq = ?");
        let bytes = sqlx::query_scalar::<_, Option<Vec<u8>>>(sqlx::AssertSqlSafe(read))
            .bind(seq)
            .fetch_one(&mut conn)
            .await?;
        let Some(mut bytes) = bytes else { return Ok(None) };
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        // A byte of zero would end the text for `length`, which a check looks at.
        sqlx::query("pragma ignore_check_constraints = on").execute(&mut conn).await?;
        let write = format!("update log set {field} = cast(? as text) where seq = ?");
        sqlx::query(sqlx::AssertSqlSafe(write)).bind(bytes).bind(seq).execute(&mut conn).await?;
        conn.close().await?;
        Ok(Some(verify(&Reader::open(dir.path()).await?, None).await?))
    }
}
