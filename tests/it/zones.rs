//! The time zones that plays are in.

use tminus::domain::zone::Zone;

pub(crate) fn los_angeles() -> Zone {
    "America/Los_Angeles".parse().expect("a zone")
}

pub(crate) fn berlin() -> Zone {
    "Europe/Berlin".parse().expect("a zone")
}

pub(crate) fn lord_howe() -> Zone {
    "Australia/Lord_Howe".parse().expect("a zone")
}
