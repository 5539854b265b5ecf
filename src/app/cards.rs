//! stub
use crate::app::messages::Messages; use crate::domain::state::*; use crate::ports::Message; use super::notices::Scene;
pub fn render(_: &Messages, _: &State, _: &Card, _: Option<&[String]>, _: &Scene) -> Option<Message> { None }
