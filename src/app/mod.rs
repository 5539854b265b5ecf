//! Where the rules meet the world.

mod acts;
pub mod cards;
pub mod chores;
pub mod clock;
pub mod conversation;
pub mod delivery;
pub mod documents;
pub mod engine;
pub mod gallery;
pub mod grammar;
pub mod hint;
pub mod markup;
pub mod measure;
pub mod messages;
pub mod notices;
pub mod people;
pub mod picture;
pub mod reads;
pub mod rehearsal;
pub mod replay;
pub mod status;
pub mod times;
mod way;
pub mod words;
