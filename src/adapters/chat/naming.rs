//! What a room is called, and the mark by which we know it again: the same on every platform.

use sha2::{Digest, Sha256};

/// What every platform takes, and far more than a side bar shows.
pub(super) const NAME: usize = 80;
/// Room for `-99`.
const SUFFIX: usize = 3;

/// Lower case, at most 80, nothing but letters, digits, `-` and `_`; the suffix always fits.
pub(super) fn name(wish: &str, number: usize) -> String {
    let mut name = String::new();
    for c in wish.chars().flat_map(char::to_lowercase) {
        // Some letters, of mathematics for one, have no small form.
        if (c.is_alphanumeric() && !c.is_uppercase()) || c == '_' {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let mut short = String::new();
    for c in name.chars() {
        if short.encode_utf16().count() + c.len_utf16() > NAME - SUFFIX {
            break;
        }
        short.push(c);
    }
    let base = short.trim_matches(['-', '_']);
    let base = if base.is_empty() { "room" } else { base };
    if number == 1 { base.to_owned() } else { format!("{base}-{number}") }
}

/// Short, meaningless to others, and the same on each try.
pub(super) fn mark(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("[tminus {hex}]")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_follows_the_rules_and_keeps_room_for_its_number() {
        assert_eq!(name("Release Web-Shop v1.2.0!", 1), "release-web-shop-v1-2-0");
        assert_eq!(name("Release Web-Shop v1.2.0!", 2), "release-web-shop-v1-2-0-2");
        assert_eq!(name("…", 1), "room");
        assert_eq!(name(&"x".repeat(200), 12).len(), 80);
    }

    proptest! {
        #[test]
        fn any_name_is_one_that_every_platform_takes(
            wish in "\\PC{0,200}",
            number in 1_usize..=99,
        ) {
            let name = name(&wish, number);
            prop_assert!(!name.is_empty() && name.encode_utf16().count() <= NAME, "{}", name);
            prop_assert!(name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_'));
            prop_assert!(!name.chars().any(char::is_uppercase), "{}", name);
        }
    }

    #[test]
    fn a_mark_is_of_one_key_and_fits_beside_a_purpose() {
        assert_ne!(mark("a"), mark("b"));
        assert_eq!(mark("a"), mark("a"));
        assert!(mark("a").len() < 30 && mark("a").starts_with("[tminus "));
    }
}
