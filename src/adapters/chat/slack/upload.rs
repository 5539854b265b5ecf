//! Files: for what is too long to be a message.

use reqwest::Url;
use serde_json::json;

use super::api::{Twice, text};
use super::{Slack, Spot};
use crate::ports::{Failure, File};

const NOT_UPLOADED: &str = "The file was not uploaded";

impl Slack {
    /// Three calls: ask where to, send it there, show it in the channel or in the thread of a
    /// message. Until the last one nobody has seen anything.
    pub(super) async fn upload(
        &self,
        channel: &str,
        thread: Option<&str>,
        file: &File,
    ) -> Result<(), Failure> {
        self.identity().await?;
        let spot = Spot::of(channel);
        let length = file.text.len().to_string();
        let arguments = [("filename", file.name.as_str()), ("length", &length)];
        let place = self.api.read("files.getUploadURLExternal", &arguments).await;
        let place = place.map_err(|fault| fault.failure(NOT_UPLOADED, Twice::Harmless))?;
        let url = Url::parse(text(&place, "/upload_url"))
            .map_err(|_| Failure::transient(format!("{NOT_UPLOADED}: Slack names no address")))?;
        let sent = self.api.send_bytes(url, &file.media, file.text.as_bytes()).await;
        sent.map_err(|fault| fault.failure(NOT_UPLOADED, Twice::Harmless))?;
        let mut body = json!({
            "files": [{"id": text(&place, "/file_id"), "title": file.name}],
            "channel_id": spot.channel,
        });
        if let Some(thread) = thread.or(spot.thread) {
            body["thread_ts"] = json!(thread);
        }
        let shown = self.api.call("files.completeUploadExternal", &body).await;
        shown.map(|_| ()).map_err(|fault| fault.failure(NOT_UPLOADED, Twice::Harmful))
    }
}
