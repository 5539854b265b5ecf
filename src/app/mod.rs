//! Where the rules meet the world.

pub mod markup;
pub mod messages;
pub mod notices;
pub mod times;
