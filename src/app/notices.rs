//! stub
use crate::app::messages::Messages;
use crate::domain::notice::*;
use crate::ports::Message;
pub struct Scene {
    pub platform: String,
    pub now: crate::domain::time::Time,
    pub zone: chrono_tz::Tz,
    pub head: Option<String>,
}
pub fn render(_: &Messages, _: &Notice, _: &Scene) -> Message {
    Message::default()
}
pub fn name(_: &NoticeKind) -> String {
    String::new()
}
