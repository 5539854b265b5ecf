//! What a fuzzer is given to begin with, and whatever it ever found, through the same doors: so that
//! nothing that was mended breaks again, on machines that have no fuzzer.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[allow(unreachable_pub, reason = "shared with the targets, for which these are public")]
#[path = "../../fuzz/entries/mod.rs"]
mod entries;

fn below(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn what_a_fuzzer_tries_and_whatever_it_found_does_no_harm() {
    let mut broken = Vec::new();
    for (name, entry) in entries::ALL {
        let kept = below(&format!("corpus/{name}"));
        assert!(!kept.is_empty(), "{name} has nothing to begin with");
        for path in kept.into_iter().chain(below(&format!("finds/{name}"))) {
            let data = fs::read(&path).unwrap();
            if catch_unwind(|| entry(&data)).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(broken.is_empty(), "these cases broke something, see above: {broken:#?}");
}

#[test]
fn every_target_is_there_and_none_is_forgotten() {
    let manifest = fs::read_to_string("fuzz/Cargo.toml").unwrap();
    let mut known: Vec<_> = entries::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    known.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let targets: Vec<_> = below("fuzz_targets").iter().map(name).collect();
    assert_eq!(targets, known);
    for name in &known {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
    let kept = below("corpus").into_iter().chain(below("finds"));
    for folder in kept {
        assert!(known.contains(&name(&folder)), "{folder:?} belongs to no target");
    }
    let folders = below("corpus");
    let files = folders.iter().flat_map(fs::read_dir).flatten();
    let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 512 * 1024, "the corpus has {size} bytes: keep what teaches something");
}
