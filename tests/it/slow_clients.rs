//! Whoever asks slowly, or without end, keeps nobody else waiting and does not stay.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::installed::until;
use crate::program::Program;

/// Longer than anybody may stay, even on a busy machine.
const LONG: Duration = Duration::from_secs(45);

async fn connected(address: &str) -> TcpStream {
    TcpStream::connect(address.trim_start_matches("http://")).await.unwrap()
}

/// What was said before the door was shut on them.
async fn until_shown_out(mut guest: TcpStream) -> String {
    let mut said = Vec::new();
    let read = tokio::time::timeout(LONG, guest.read_to_end(&mut said)).await;
    // A reset is as good as a farewell.
    let _ = read.expect("they may stay for ever");
    String::from_utf8(said).unwrap()
}

const HEADS: [&str; 3] = ["", "GET /healthz HT", "POST /api/commands HTTP/1.1\r\nhost: x\r\nx-a: "];

/// Of a deed that would be done, if it ever came whole.
fn head_of(program: &Program, path: &str, length: &str) -> String {
    let (origin, token) = (&program.address, program.token());
    let host = origin.trim_start_matches("http://");
    format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
    )
}

#[tokio::test]
async fn nobody_stands_in_any_door_for_ever() {
    let program = Program::start().await;
    let mut guests = Vec::new();
    for address in [&program.address, &program.shop] {
        for head in HEADS {
            let mut guest = connected(address).await;
            guest.write_all(head.as_bytes()).await.unwrap();
            guests.push(tokio::spawn(until_shown_out(guest)));
        }
    }
    for path in ["/api/commands", "/console/say", "/console/press"] {
        let mut guest = connected(&program.address).await;
        let head = head_of(&program, path, "content-length: 90") + "{\"line\": ";
        guest.write_all(head.as_bytes()).await.unwrap();
        guests.push(tokio::spawn(until_shown_out(guest)));
    }
    // Meanwhile everybody else is answered at once.
    let begun = Instant::now();
    program.say("maria", "help").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let mut said = Vec::new();
    for guest in guests {
        said.push(guest.await.unwrap());
    }
    assert!(said[..6].iter().all(String::is_empty), "{said:#?}");
    assert!(said[6..].iter().all(|late| late.starts_with("HTTP/1.1 408")), "{said:#?}");
    // Our own line may have been closed meanwhile, as we said nothing on it either.
    until("it serves", async || program.ask_once("maria", "help", None).await.is_ok()).await;
}

/// Whoever asks and asks, and takes no answer, is shown out as well.
#[tokio::test]
async fn nobody_stands_in_the_door_without_taking_what_they_asked_for() {
    let program = Program::start().await;
    let mut guest = connected(&program.address).await;
    let host = program.address.trim_start_matches("http://");
    let asked = format!("GET /page/console.js HTTP/1.1\r\nhost: {host}\r\n\r\n").repeat(100);
    let asking = async { while guest.write_all(asked.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(LONG, asking).await.expect("they may stay for ever");
    program.say("maria", "help").await;
}

#[tokio::test]
async fn a_crowd_in_the_door_takes_no_files_from_the_house() {
    let program = Program::start().await;
    let mut crowd = Vec::new();
    for _ in 0..700 {
        crowd.push(connected(&program.address).await);
    }
    // Those of whom there are too many wait outside: the log is written all the same.
    let files = std::fs::read_dir(format!("/proc/{}/fd", program.process())).unwrap().count();
    assert!(files < 700, "{files} files are open");
    drop(crowd);
    until("it is served again", async || program.ask_once("maria", "help", None).await.is_ok())
        .await;
    program.say("maria", "schedule web-shop-v1.2.0").await;
}

#[tokio::test]
async fn no_door_reads_without_end() {
    let program = Program::start().await;
    for path in ["/api/commands", "/console/say", "/console/press", "/console/submit"] {
        let mut guest = connected(&program.address).await;
        // Without a length, so that nobody is warned.
        let head = head_of(&program, path, "transfer-encoding: chunked");
        guest.write_all(format!("{head}10000\r\n").as_bytes()).await.unwrap();
        let chunk = format!("{}\r\n10000\r\n", " ".repeat(0x10000));
        for _ in 0..1_000 {
            // The door is shut in their face.
            if guest.write_all(chunk.as_bytes()).await.is_err() {
                break;
            }
        }
        let said = until_shown_out(guest).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{path}: {said}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.process())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 300_000, "{peak} kB were in use");
    program.say("maria", "help").await;
}
