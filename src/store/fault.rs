//! What SQLite's error codes mean to us, and to the person who has to mend it.

/// Why SQLite did not do it, as far as we act on the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Full,
    ReadOnly,
    Busy,
    /// A constraint or a trigger said no.
    Refused,
    NotADatabase,
    Damaged,
    /// Everything else, above all I/O errors: it may or may not have happened.
    Unclear,
}

/// The low byte is the kind, the rest the detail: <https://www.sqlite.org/rescode.html>.
pub(super) fn fault(error: &sqlx::Error) -> Fault {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff) {
        Some(5 | 6) => Fault::Busy,
        Some(8) => Fault::ReadOnly,
        Some(11) => Fault::Damaged,
        Some(13) => Fault::Full,
        Some(18..=20) => Fault::Refused,
        Some(26) => Fault::NotADatabase,
        _ => Fault::Unclear,
    }
}

impl Fault {
    /// Whether a transaction that failed in this way has certainly left nothing behind.
    ///
    /// A full disk belongs here even at COMMIT: in WAL mode the commit mark is in the last frame,
    /// so a frame that found no space means that no valid mark was written. A failed sync would
    /// come as an I/O error instead.
    pub(super) fn leaves_nothing(self) -> bool {
        match self {
            Self::Full | Self::ReadOnly | Self::Busy | Self::Refused => true,
            Self::NotADatabase | Self::Damaged | Self::Unclear => false,
        }
    }

    pub(super) fn explain(self, error: &sqlx::Error) -> String {
        let advice = match self {
            Self::Full => "the disk is full; free some space",
            Self::ReadOnly => "the database cannot be written; check its owner and the mount",
            Self::Busy => "another program holds the database; close it",
            Self::Refused => "the database refused it",
            Self::NotADatabase => "this is not a database",
            Self::Damaged => "the database is damaged; restore a backup",
            Self::Unclear => "the database failed; check the disk",
        };
        format!("{advice} ({error})")
    }
}
