//! The embedded default and its sample plan, as the program loads them.

use std::path::PathBuf;

use tminus::config::{self, Surroundings};
use tminus::domain::plan::Plan;
use tminus::domain::policy::Policy;

pub(crate) fn policy_and_plan() -> (Policy, Plan) {
    let surroundings = Surroundings {
        state: Some(PathBuf::from("state")),
        own_program: PathBuf::from("tminus"),
        demo_url: Some("http://127.0.0.1:1".into()),
    };
    let config = config::load(None, &surroundings, &|_| None).expect("the default is valid");
    let text = include_str!("../../config/plans/web-shop-v1.2.0.toml");
    let plan = config::read_plan(text, "web-shop-v1.2.0.toml").expect("the sample is valid");
    (config.policy, plan)
}
