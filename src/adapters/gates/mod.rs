//! Those who keep deployments waiting until they have heard from us.

pub mod github;

pub use github::GitHub;
