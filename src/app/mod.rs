//! Where the rules meet the world.

pub mod clock;
pub mod conversation;
pub mod delivery;
pub mod engine;
pub mod grammar;
pub mod markup;
pub mod messages;
pub mod reads;
pub mod times;
