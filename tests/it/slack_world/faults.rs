//! What can go wrong between the bot and Slack, chosen by the test.

use std::time::Duration;

use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Harm {
    /// 429 with this many seconds in `Retry-After`.
    TooMany(u64),
    /// An HTTP status and no JSON.
    Status(u16),
    /// One of Slack's errors, as if it had found a reason.
    Error(&'static str),
    /// The connection ends before anything was done.
    ResetBefore,
    /// It was done, and the connection ends without an answer.
    ResetAfter,
    /// Nothing is done for this long, by the stand-in's clock.
    Stall(Duration),
    /// It is done at once and answered this much later, by the stand-in's clock.
    AnswerLate(Duration),
    /// It is done, and no answer ever comes; the connection stays open.
    AnswerLost,
    /// Nothing is done until the test releases it.
    Hold,
    /// 200 with a page for people: what a proxy says.
    Garbage,
}

/// Which calls are harmed, and how.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    method: String,
    channel: Option<String>,
    doing: Option<(Deed, String)>,
    saying: Option<String>,
    skip: usize,
    times: usize,
    harm: Harm,
}

/// What a call does, in a test's own words: from its method and its arguments.
pub(crate) type Deed = fn(&str, &Map<String, Value>) -> String;

impl Fault {
    /// `*` is every method, `response_url` stands for those.
    pub(crate) fn on(method: &str, harm: Harm) -> Self {
        let method = method.to_owned();
        Self { method, channel: None, doing: None, saying: None, skip: 0, times: 1, harm }
    }

    pub(crate) fn in_channel(mut self, id: &str) -> Self {
        self.channel = Some(id.to_owned());
        self
    }

    pub(crate) fn doing(mut self, deed: Deed, wanted: &str) -> Self {
        self.doing = Some((deed, wanted.to_owned()));
        self
    }

    /// Of messages, those with this in their text.
    pub(crate) fn saying(mut self, words: &str) -> Self {
        self.saying = Some(words.to_owned());
        self
    }

    /// The first call is number one.
    pub(crate) fn nth(mut self, nth: usize) -> Self {
        self.skip = nth.checked_sub(1).expect("the first call is number one");
        self
    }

    pub(crate) fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    pub(crate) fn always(self) -> Self {
        self.times(usize::MAX)
    }
}

#[derive(Default)]
pub(super) struct Faults {
    planned: Vec<Fault>,
    storm: Option<Storm>,
    /// How often the test said that what is held may go on.
    pub(super) released: u64,
    pub(super) held: usize,
    /// How many calls were harmed as planned.
    pub(super) struck: usize,
}

struct Storm {
    seed: u64,
    percent: u64,
}

/// What a storm throws: everything that ends by itself.
const WEATHER: &[Harm] = &[
    Harm::TooMany(1),
    Harm::Status(500),
    Harm::Status(503),
    Harm::ResetBefore,
    Harm::ResetAfter,
    Harm::Garbage,
];

impl Faults {
    pub(super) fn plan(&mut self, fault: Fault) {
        self.planned.push(fault);
    }

    pub(super) fn storm(&mut self, seed: u64, percent: u64) {
        self.storm = (percent > 0).then_some(Storm { seed, percent });
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
        self.storm = None;
    }

    pub(super) fn next(
        &mut self,
        method: &str,
        channel: &str,
        args: &Map<String, Value>,
    ) -> Option<Harm> {
        for fault in &mut self.planned {
            let here = fault.channel.as_ref().is_none_or(|it| it == channel);
            let doing = fault.doing.as_ref();
            let here = here && doing.is_none_or(|(deed, wanted)| deed(method, args) == *wanted);
            let said = args.get("text").and_then(Value::as_str).unwrap_or_default();
            let here = here && fault.saying.as_ref().is_none_or(|words| said.contains(words));
            if !here || !(fault.method == "*" || fault.method == method) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 {
                fault.times = if fault.times == usize::MAX { fault.times } else { fault.times - 1 };
                self.struck += 1;
                return Some(fault.harm.clone());
            }
        }
        let storm = self.storm.as_mut()?;
        let thrown = draw(&mut storm.seed);
        let hit = thrown % 100 < storm.percent;
        let which = usize::try_from(draw(&mut storm.seed) % WEATHER.len() as u64);
        hit.then(|| WEATHER[which.expect("it is small")].clone())
    }
}

/// SplitMix64: the same seed harms the same calls.
fn draw(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
