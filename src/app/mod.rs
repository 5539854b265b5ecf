//! Where the rules meet the world.

pub mod cards;
pub mod documents;
pub mod markup;
pub mod messages;
pub mod notices;
pub mod status;
pub mod times;
