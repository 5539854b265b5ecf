//! Where strangers' bytes come in: what a fuzzer, the corpus and every past find are put through.
//! Whoever calls with bytes of any kind must get back; what must hold of them is asserted here.

mod chats;
mod doors;
mod log;
mod words;

/// Takes any bytes.
pub type Entry = fn(&[u8]);

/// By the names of the folders in `corpus` and `finds`.
pub const ALL: [(&str, Entry); 9] = [
    ("grammar", words::grammar),
    ("plan", words::plan),
    ("config", words::config),
    ("template", words::template),
    ("slack", chats::slack),
    ("discord", chats::discord),
    ("doors", doors::doors),
    ("log", log::log),
    ("database", log::database),
];

/// The first byte, which chooses, and the rest.
fn chosen(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(first, rest)| (*first, rest))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}
