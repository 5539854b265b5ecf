//! Files: for what is too long to be a message, and for pictures.

use reqwest::Url;
use serde_json::json;

use super::api::{Twice, text};
use super::{Slack, Spot};
use crate::ports::{Failure, File, Picture};

const NOT_UPLOADED: &str = "The file was not uploaded";
/// Slack takes no more of what a picture shows.
const ALT: usize = 1_000;

/// What is uploaded.
pub(super) struct Load<'a> {
    name: &'a str,
    media: &'a str,
    bytes: &'a [u8],
    /// What it shows, for those who do not see it.
    alt: String,
}

impl<'a> Load<'a> {
    pub(super) fn document(file: &'a File) -> Self {
        let (name, media) = (file.name.as_str(), file.media.as_str());
        Self { name, media, bytes: file.text.as_bytes(), alt: String::new() }
    }

    pub(super) fn picture(picture: &'a Picture) -> Self {
        let alt = picture.alt.chars().take(ALT).collect();
        Self { name: &picture.name, media: "image/png", bytes: &picture.png, alt }
    }
}

impl Slack {
    /// Three calls: ask where to, send it there, show it in the channel or in the thread of a
    /// message. Until the last one nobody has seen anything.
    pub(super) async fn upload(
        &self,
        channel: &str,
        thread: Option<&str>,
        load: &Load<'_>,
    ) -> Result<(), Failure> {
        self.identity().await?;
        let spot = Spot::of(channel);
        let length = load.bytes.len().to_string();
        let mut arguments = vec![("filename", load.name), ("length", &length)];
        if !load.alt.is_empty() {
            arguments.push(("alt_txt", &load.alt));
        }
        let place = self.api.read("files.getUploadURLExternal", &arguments).await;
        let place = place.map_err(|fault| fault.failure(NOT_UPLOADED, Twice::Harmless))?;
        let url = Url::parse(text(&place, "/upload_url"))
            .map_err(|_| Failure::transient(format!("{NOT_UPLOADED}: Slack names no address")))?;
        let sent = self.api.send_bytes(&url, load.media, load.bytes).await;
        sent.map_err(|fault| fault.failure(NOT_UPLOADED, Twice::Harmless))?;
        let mut body = json!({
            "files": [{"id": text(&place, "/file_id"), "title": load.name}],
            "channel_id": spot.channel,
        });
        if let Some(thread) = thread.or(spot.thread) {
            body["thread_ts"] = json!(thread);
        }
        let shown = self.api.call("files.completeUploadExternal", &body).await;
        shown.map(|_| ()).map_err(|fault| fault.failure(NOT_UPLOADED, Twice::Harmful))
    }
}
