//! stub
use super::notices::Scene;
use crate::app::messages::Messages;
use crate::domain::state::*;
use crate::ports::Message;
pub fn render(
    _: &Messages,
    _: &State,
    _: &Card,
    _: Option<&[String]>,
    _: &Scene,
) -> Option<Message> {
    None
}
