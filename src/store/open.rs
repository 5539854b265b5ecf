//! Opening: whose directory, whose file, which version, and nobody else at the same time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqliteConnection};

use super::fault::{Fault, fault};
use super::log::{self, Head, Reader};

const DATABASE: &str = "tminus.db";
const LOCK: &str = "tminus.lock";

/// "tmin": the migration writes it into the header of the file.
const APPLICATION: i64 = 1_953_327_470;

/// Nobody else writes, except a person with a tool: they are not waited for long.
const BUSY: Duration = Duration::from_millis(500);

/// Readers: the answers, an export, a verification, and one to spare.
const READERS: u32 = 4;

/// Rows that SQLite may be ahead of us: it runs in a thread of its own while we hash.
const ROWS_AHEAD: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{} is not a directory; name a directory, it is created where it does not exist",
        .0.display())]
    NotADirectory(PathBuf),
    #[error("{} is in use by another tminus{}; stop that one first, or name another directory",
        dir.display(), process(*pid))]
    InUse { dir: PathBuf, pid: Option<u32> },
    #[error("{} was written by a newer tminus: it has version {found}, this program knows up to \
        {known}; install the newer program, or name another directory", file.display())]
    Newer { file: PathBuf, found: i64, known: i64 },
    #[error("{} is not a tminus database; move it away, or name another directory", .0.display())]
    NotOurs(PathBuf),
    #[error("{} cannot be written; let the user that runs tminus own it, on a disk that is mounted \
        for writing", .0.display())]
    ReadOnly(PathBuf),
    #[error("there is no log at {}; name the state directory of a tminus that has run",
        .0.display())]
    Missing(PathBuf),
    #[error("{} cannot be looked into: ask as the user that runs tminus, or copy the whole directory",
        .0.display())]
    ShutOut(PathBuf),
    #[error("{} cannot be used: {why}", path.display())]
    Unusable { path: PathBuf, why: String },
}

fn process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// What a writer holds: the lock for as long as it lives.
pub(super) struct Opened {
    pub(super) conn: SqliteConnection,
    pub(super) head: Head,
    pub(super) reader: Reader,
    pub(super) lock: File,
}

pub(super) async fn writer(dir: &Path) -> Result<Opened, OpenError> {
    make(dir)?;
    let lock = lock(dir)?;
    let file = dir.join(DATABASE);
    // Looked at before it is touched: opening for writing would turn a stranger's file into ours.
    if file.exists() {
        let mut conn = reading(&file).connect().await.map_err(|e| wrong(&file, &e))?;
        identify(&mut conn, &file).await?;
        conn.close().await.map_err(|e| wrong(&file, &e))?;
    } else {
        // Only for us, in whatever directory; SQLite's files beside it are like it.
        let made = File::options().append(true).create(true).mode(0o600).open(&file);
        made.map_err(|error| barred(dir, &file, &error))?;
    }
    let mut conn = writing(&file).connect().await.map_err(|e| wrong(&file, &e))?;
    migrator().run_direct(None, &mut conn, false).await.map_err(|e| unmigrated(&file, e))?;
    probe(&mut conn, &file).await?;
    let head = log::head(&mut conn).await.map_err(|e| wrong(&file, &e))?;
    let reader = reader(dir).await?;
    Ok(Opened { conn, head, reader, lock })
}

pub(super) async fn reader(dir: &Path) -> Result<Reader, OpenError> {
    let file = dir.join(DATABASE);
    // Asked for, and not opened: whoever closes it lets go of the locks that we hold on it.
    match access(&file, AccessFlags::R_OK) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Err(OpenError::Missing(file)),
        Err(Errno::EACCES) => return Err(OpenError::ShutOut(dir.to_owned())),
        Ok(()) | Err(_) => {}
    }
    let options = match look(&file, reading(&file)).await {
        Ok(options) => options,
        // A read-only copy or disk: SQLite cannot make the files that readers share, and calls that
        // either read-only or unable to open. Without a journal beside it nothing is pending, and
        // the file itself is the whole truth.
        Err(OpenError::ReadOnly(_) | OpenError::Unusable { .. }) if !pending(&file) => {
            look(&file, reading(&file).immutable(true)).await?
        }
        Err(error) => return Err(error),
    };
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .connect_lazy_with(options);
    Ok(Reader { pool })
}

/// Opens once to see whether these options do, and whether the file is ours.
async fn look(file: &Path, with: SqliteConnectOptions) -> Result<SqliteConnectOptions, OpenError> {
    let mut conn = with.connect().await.map_err(|e| wrong(file, &e))?;
    if identify(&mut conn, file).await? == Identity::Fresh {
        return Err(OpenError::Missing(file.to_owned()));
    }
    conn.close().await.map_err(|e| wrong(file, &e))?;
    Ok(with)
}

/// Whether a journal holds what the file does not yet.
fn pending(file: &Path) -> bool {
    let mut journal = file.as_os_str().to_owned();
    journal.push("-wal");
    std::fs::metadata(journal).is_ok_and(|journal| journal.len() > 0)
}

/// Only for us: the log holds who did what.
fn make(dir: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| barred(dir, dir, &error))
}

/// Why the system does not let us in: `path` is what was tried, in the directory `dir`.
fn barred(dir: &Path, path: &Path, error: &std::io::Error) -> OpenError {
    let kind = error.kind();
    if matches!(kind, ErrorKind::AlreadyExists | ErrorKind::NotADirectory) {
        OpenError::NotADirectory(dir.to_owned())
    } else if matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) {
        OpenError::ReadOnly(dir.to_owned())
    } else {
        OpenError::Unusable { path: path.to_owned(), why: error.to_string() }
    }
}

/// The system lets go of it when the process ends, however it ends.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let file = opened.map_err(|error| barred(dir, &path, &error))?;
    match file.try_lock() {
        Ok(()) => {
            sign(&file);
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let pid = std::fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok());
            Err(OpenError::InUse { dir: dir.to_owned(), pid })
        }
        Err(TryLockError::Error(error)) => {
            Err(OpenError::Unusable { path, why: format!("it cannot be locked: {error}") })
        }
    }
}

/// The process id is a courtesy to whoever comes second; a full disk may deny it to them.
fn sign(mut lock: &File) {
    let signed = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
    if let Err(error) = signed {
        tracing::warn!(%error, "the lock file could not take our process id");
    }
}

fn writing(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An answer is given after the commit: the commit must be on the disk by then.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .disable_statement_logging()
}

fn reading(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .busy_timeout(BUSY)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

#[derive(PartialEq, Eq)]
enum Identity {
    Ours,
    /// Nothing in it yet: a first start may have been cut short.
    Fresh,
}

async fn identify(conn: &mut SqliteConnection, file: &Path) -> Result<Identity, OpenError> {
    let application: i64 = sqlx::query_scalar("pragma application_id")
        .fetch_one(&mut *conn)
        .await
        .map_err(|e| wrong(file, &e))?;
    if application == APPLICATION {
        return refuse_newer(conn, file).await.map(|()| Identity::Ours);
    }
    let tables: i64 = sqlx::query_scalar(
        "select count(*) from sqlite_schema where tbl_name <> '_sqlx_migrations'",
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(|e| wrong(file, &e))?;
    let fresh = application == 0 && tables == 0;
    if fresh { Ok(Identity::Fresh) } else { Err(OpenError::NotOurs(file.to_owned())) }
}

async fn refuse_newer(conn: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    let found: i64 = sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations")
        .fetch_one(conn)
        .await
        .map_err(|e| wrong(file, &e))?;
    let known = migrator().iter().map(|migration| migration.version).max().unwrap_or(0);
    if found > known {
        return Err(OpenError::Newer { file: file.to_owned(), found, known });
    }
    Ok(())
}

/// Embedded, and without a build script: a new file is a new line here.
fn migrator() -> Migrator {
    let files = [
        ("log and outbox", include_str!("../../migrations/0001_log_and_outbox.sql")),
        ("what was said", include_str!("../../migrations/0002_what_was_said.sql")),
        ("inbox", include_str!("../../migrations/0003_inbox.sql")),
    ];
    let migration = |(version, (about, sql)): (i64, (&'static str, &'static str))| {
        Migration::new(version, about.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(files).map(migration).collect())
}

/// A file that may only be read opens without complaint; only a write tells. A full disk is no
/// reason to stay down: reading works, and space may be freed.
async fn probe(conn: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    let Err(error) = super::beat(conn).await else { return Ok(()) };
    match fault(&error) {
        Fault::Full | Fault::Busy => Ok(()),
        Fault::ReadOnly
        | Fault::Refused
        | Fault::NotADatabase
        | Fault::Damaged
        | Fault::Unclear => Err(wrong(file, &error)),
    }
}

fn wrong(file: &Path, error: &sqlx::Error) -> OpenError {
    let file = file.to_owned();
    match fault(error) {
        Fault::NotADatabase => OpenError::NotOurs(file),
        Fault::ReadOnly => OpenError::ReadOnly(file),
        fault @ (Fault::Full | Fault::Busy | Fault::Refused | Fault::Damaged | Fault::Unclear) => {
            OpenError::Unusable { path: file, why: fault.explain(error) }
        }
    }
}

fn unmigrated(file: &Path, error: MigrateError) -> OpenError {
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = &error {
        return wrong(file, error);
    }
    OpenError::Unusable { path: file.to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::testing::{entries, filled, raw};
    use super::super::{Finding, Store, Which, verify};
    use super::*;

    async fn refused(dir: &Path) -> OpenError {
        Store::open(dir).await.err().expect("this must not open")
    }

    #[tokio::test]
    async fn a_missing_directory_is_made_for_us_alone() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let state = dir.path().join("state/of/tminus");
        let store = Store::open(&state).await?;
        store.check().await?;
        assert_eq!(std::fs::metadata(&state)?.permissions().mode() & 0o777, 0o700);
        Ok(())
    }

    #[tokio::test]
    async fn the_second_one_is_refused_and_told_who_was_first() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let first = Store::open(dir.path()).await?;
        let error = refused(dir.path()).await;
        assert!(
            matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id())
        );
        assert!(error.to_string().contains("is in use by another tminus (process "), "{error}");
        first.close().await;
        Store::open(dir.path()).await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_log_of_the_first_version_is_read_as_it_is_and_written_after_an_update()
    -> anyhow::Result<()> {
        let dir = filled(3).await?;
        let mut conn = raw(dir.path()).await?;
        sqlx::raw_sql("drop table asked; delete from _sqlx_migrations where version = 2")
            .execute(&mut conn)
            .await?;
        conn.close().await?;
        let reader = Reader::open(dir.path()).await?;
        assert_eq!(reader.entries(&Which::default()).await?.len(), 3);
        reader.close().await;
        let store = Store::open(dir.path()).await?;
        assert!(store.asked(&["console/1".to_owned()]).await?.is_empty());
        store.commit(&entries(4..=4)).await?;
        let found = verify(store.reader(), None).await?;
        assert_eq!(found, Finding::Verified { entries: 4, head: store.head() });
        Ok(())
    }

    #[tokio::test]
    async fn a_newer_database_is_refused_by_writer_and_reader() -> anyhow::Result<()> {
        let dir = filled(1).await?;
        let mut conn = raw(dir.path()).await?;
        sqlx::query(
            "insert into _sqlx_migrations \
             (version, description, success, checksum, execution_time) \
             values (99, 'from the future', true, x'00', 0)",
        )
        .execute(&mut conn)
        .await?;
        conn.close().await?;
        let error = refused(dir.path()).await;
        assert!(matches!(error, OpenError::Newer { found: 99, known: 3, .. }), "{error}");
        let error = Reader::open(dir.path()).await.expect_err("newer");
        assert!(error.to_string().contains("it has version 99, this program knows up to 3"));
        Ok(())
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_left_alone() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let text = "Dear diary, ".repeat(100);
        std::fs::write(dir.path().join(DATABASE), &text)?;
        assert!(matches!(refused(dir.path()).await, OpenError::NotOurs(_)));
        assert_eq!(std::fs::read_to_string(dir.path().join(DATABASE))?, text);
        Ok(())
    }

    #[tokio::test]
    async fn a_strangers_database_is_left_alone() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let mut conn = raw(dir.path()).await?;
        sqlx::query("create table recipes (name text)").execute(&mut conn).await?;
        conn.close().await?;
        let before = std::fs::read(dir.path().join(DATABASE))?;
        let error = refused(dir.path()).await;
        assert!(error.to_string().contains("is not a tminus database; move it away"), "{error}");
        assert_eq!(std::fs::read(dir.path().join(DATABASE))?, before);
        Ok(())
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_directory_is_named() -> anyhow::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        assert!(matches!(refused(file.path()).await, OpenError::NotADirectory(_)));
        assert!(matches!(refused(&file.path().join("below")).await, OpenError::NotADirectory(_)));
        Ok(())
    }

    #[tokio::test]
    async fn a_directory_in_the_place_of_the_file_is_named() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join(DATABASE))?;
        let error = refused(dir.path()).await;
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
        Ok(())
    }

    #[tokio::test]
    async fn a_first_start_that_was_cut_short_is_finished() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join(DATABASE), "")?;
        assert!(matches!(Reader::open(dir.path()).await, Err(OpenError::Missing(_))));
        Store::open(dir.path()).await?.check().await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_reader_creates_nothing() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let error = Reader::open(dir.path()).await.expect_err("nothing to read");
        assert!(error.to_string().starts_with("there is no log at "), "{error}");
        assert_eq!(std::fs::read_dir(dir.path())?.count(), 0);
        Ok(())
    }

    #[tokio::test]
    async fn a_reader_cannot_write() -> anyhow::Result<()> {
        let dir = filled(1).await?;
        let reader = Reader::open(dir.path()).await?;
        let done = sqlx::query("update pulse set beats = 0").execute(&reader.pool).await;
        assert_eq!(fault(&done.expect_err("read-only")), Fault::ReadOnly);
        Ok(())
    }

    #[tokio::test]
    async fn a_reader_sees_what_a_crash_left_in_the_journal() -> anyhow::Result<()> {
        let (dir, copy) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let store = Store::open(dir.path()).await?;
        store.commit(&entries(1..=5)).await?;
        for file in [DATABASE, "tminus.db-wal"] {
            std::fs::copy(dir.path().join(file), copy.path().join(file))?;
        }
        let reader = Reader::open(copy.path()).await?;
        assert_eq!(reader.entries(&Which::default()).await?.len(), 5);
        let expected = Finding::Verified { entries: 5, head: store.head() };
        assert_eq!(verify(&reader, None).await?, expected);
        Ok(())
    }
}
