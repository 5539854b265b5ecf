//! Posts a letter to an address of the operator, signed.
//!
//! The id of a request is the key of the letter, so that a receiver can drop what it has already,
//! and it is safe to send again with the same key even when the first outcome is unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Url};
use serde_json::json;

use crate::adapters::signed::{self, Signer};
use crate::ports::{Courier, Failure, Letter, Receipt};

/// Where letters of one name go.
#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    /// `whsec_…`; several while one replaces another.
    pub secrets: Vec<String>,
    pub timeout: Duration,
}

pub struct Webhook {
    client: Client,
    targets: BTreeMap<String, Ready>,
}

struct Ready {
    url: Url,
    signer: Signer,
    timeout: Duration,
}

impl Webhook {
    pub fn new(targets: BTreeMap<String, Target>) -> Result<Self, Failure> {
        let ready = |(name, target): (String, Target)| {
            let what = format!("[webhooks.{name}]");
            let url = signed::address(&what, &target.url, &[])?;
            let signer = Signer::new(&what, &target.secrets)?;
            Ok((name, Ready { url, signer, timeout: target.timeout }))
        };
        let targets = targets.into_iter().map(ready).collect::<Result<_, _>>()?;
        Ok(Self { client: signed::client(), targets })
    }
}

#[async_trait]
impl Courier for Webhook {
    async fn send(&self, to: &str, key: &str, letter: &Letter) -> Result<Receipt, Failure> {
        let target = self.targets.get(to).ok_or_else(|| {
            let names: Vec<_> = self.targets.keys().map(String::as_str).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Failure::permanent(format!(
                "there is no webhook `{to}` (configured: {names}): add [webhooks.{to}]"
            ))
        })?;
        let letter = json!({
            "kind": letter.kind,
            "subject": letter.subject,
            "text": letter.text,
        });
        let body = letter.to_string();
        let headers = target.signer.headers(key, &body)?;
        let request = self.client.post(target.url.clone()).headers(headers).body(body);
        signed::send(&format!("webhook `{to}`"), request, target.timeout).await?;
        Ok(Receipt::Whole)
    }

    fn drops_repeats(&self) -> bool {
        true
    }
}
