//! Who people are in the eyes of their platforms: looked up singly, remembered for a minute.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use tracing::warn;

use crate::domain::command::Claims;
use crate::domain::ids::Account;
use crate::domain::policy::Policy;
use crate::domain::time::Time;
use crate::ports::{Block, Directory, Failure, Inline, Message, Standing};

/// Claims are facts with an age: older than this they are asked for again.
const FRESH: TimeDelta = TimeDelta::seconds(60);
/// From this age on they are renewed while they still serve, so that who is busy never waits.
const RENEW: TimeDelta = TimeDelta::seconds(30);
/// A directory that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// More people than this are not remembered at a time.
const MOST: usize = 20_000;

/// The directories of the platforms that have one, and what they said lately.
#[derive(Default)]
pub struct People {
    directories: BTreeMap<String, Arc<dyn Directory>>,
    known: Mutex<HashMap<Account, Claims>>,
    names: Mutex<HashMap<Account, String>>,
}

/// Whether we know enough of somebody to judge what they ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knowledge {
    Enough(Claims),
    /// Enough, but about to be too old.
    Aging(Claims),
    TooLittle,
}

impl People {
    pub fn new(directories: BTreeMap<String, Arc<dyn Directory>>) -> Self {
        Self { directories, ..Self::default() }
    }

    /// From memory. Whom no configuration can let in is not looked up either. What a platform said
    /// with this very click counts, and not what it said a moment before.
    pub fn know(&self, account: &Account, policy: &Policy, now: Time) -> Knowledge {
        let directory = self.directories.get(&account.platform);
        let Some(directory) = directory.filter(|_| could_be_let_in(account, policy)) else {
            return Knowledge::Enough(Claims::default());
        };
        let groups = groups_of(account, policy);
        if let Some(standing) = directory.at_hand(&account.tenant, &account.user, &groups) {
            return Knowledge::Enough(self.learn(account, standing, now));
        }
        let known = self.known.lock().expect("never held in a panic");
        let Some(claims) = known.get(account) else { return Knowledge::TooLittle };
        match claims.observed_at.map(|at| now - at) {
            Some(age) if age <= RENEW => Knowledge::Enough(claims.clone()),
            Some(age) if age <= FRESH => Knowledge::Aging(claims.clone()),
            Some(_) | None => Knowledge::TooLittle,
        }
    }

    /// Asks the platform. Whom it does not tell of is unknown, which nobody remembers.
    pub async fn look_up(&self, account: &Account, groups: &[String], now: Time) -> Claims {
        let Some(standing) = self.standing(account, groups).await else {
            return Claims::unknown();
        };
        self.learn(account, standing, now)
    }

    fn learn(&self, account: &Account, standing: Standing, now: Time) -> Claims {
        let Standing { guest, gone, groups, name } = standing;
        let whole = |group: String| Account::new(&account.platform, &account.tenant, &group);
        let groups = groups.into_iter().map(|group| whole(group).to_string()).collect();
        let claims = Claims { groups, guest, gone, observed_at: Some(now), unknown: false };
        if let Some(name) = name {
            self.names.lock().expect("never held in a panic").insert(account.clone(), name);
        }
        let mut known = self.known.lock().expect("never held in a panic");
        if known.len() >= MOST {
            known.retain(|_, claims| claims.observed_at.is_some_and(|at| now - at <= FRESH));
        }
        known.insert(account.clone(), claims.clone());
        claims
    }

    async fn standing(&self, account: &Account, groups: &[String]) -> Option<Standing> {
        let directory = self.directories.get(&account.platform)?;
        let asked = directory.standing(&account.tenant, &account.user, groups);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(standing)) => Some(standing),
            Ok(Err(failure)) => {
                let platform = &account.platform;
                warn!(platform, %failure, "{platform} does not tell who somebody is: {failure}");
                None
            }
            Err(_) => {
                let platform = &account.platform;
                warn!(platform, "{platform} took too long to tell who somebody is");
                None
            }
        }
    }

    /// Puts names in place of the accounts by which the log calls people that nobody linked. Names
    /// are never logged, so they are looked up whenever something is said.
    pub async fn name(&self, message: &mut Message) {
        let mut accounts = BTreeSet::new();
        for_each_text(message, &mut |text| accounts.extend(self.accounts_in(text)));
        if accounts.is_empty() {
            return;
        }
        let mut names = Vec::new();
        for account in accounts {
            names.push((account.to_string(), self.name_of(&account).await));
        }
        for_each_text(message, &mut |text| {
            for (account, name) in &names {
                if text.contains(account) {
                    *text = text.replace(account, name);
                }
            }
        });
    }

    fn accounts_in(&self, text: &str) -> Vec<Account> {
        if !text.contains('/') {
            return Vec::new();
        }
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '/'));
        let words = words.filter(|word| word.contains('/'));
        let accounts = words.filter_map(|word| word.parse::<Account>().ok());
        accounts.filter(|account| self.directories.contains_key(&account.platform)).collect()
    }

    /// Destinations look like accounts.
    async fn place(&self, account: &Account) -> Result<Option<String>, Failure> {
        match self.directories.get(&account.platform) {
            Some(directory) => directory.place(&account.tenant, &account.user).await,
            None => Ok(None),
        }
    }

    async fn name_of(&self, account: &Account) -> String {
        let known = self.names.lock().expect("never held in a panic").get(account).cloned();
        if let Some(known) = known {
            return known;
        }
        let found = match self.place(account).await {
            Ok(Some(place)) => Some(place),
            Ok(None) => self.standing(account, &[]).await.and_then(|standing| standing.name),
            // Nobody can tell whether it is a person, and what is none must not be asked for as one.
            Err(_) => return account.to_string(),
        };
        let Some(name) = found else { return format!("@{}", account.user) };
        self.names.lock().expect("never held in a panic").insert(account.clone(), name.clone());
        name
    }
}

/// The groups of one workspace that the policy asks about, as the workspace calls them.
pub fn groups_of(account: &Account, policy: &Policy) -> Vec<String> {
    let here = format!("{}/{}/", account.platform, account.tenant);
    let all: BTreeSet<_> = policy.roles.values().flat_map(|role| &role.groups).collect();
    all.into_iter().filter_map(|group| group.strip_prefix(&here).map(str::to_owned)).collect()
}

fn could_be_let_in(account: &Account, policy: &Policy) -> bool {
    policy.person(account).is_some() || !groups_of(account, policy).is_empty()
}

/// All but what stands in a line as it would be typed.
fn for_each_text(message: &mut Message, each: &mut dyn FnMut(&mut String)) {
    message.files.iter_mut().for_each(|file| each(&mut file.text));
    for block in &mut message.body {
        if let Block::Code(text) = block {
            each(text);
        }
        block.each_inline(&mut |inline| {
            if let Inline::Text(text) = inline {
                each(text);
            }
        });
    }
}
