//! People whom a platform has to vouch for: what they ask is kept, looked up, decided and answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::super::tests::{PLAN, POLICY, read_plan};
use super::super::{Conversation, PlanShelf, Platforms};
use crate::app::clock::Clock;
use crate::app::engine::Engine;
use crate::app::markup;
use crate::app::people::People;
use crate::domain::command::{Actor, Command, Request};
use crate::domain::state::State;
use crate::ports::{
    Answered, Chat, Directory, Failure, Form, Heard, Message, MessageRef, Place, Reply, Room,
    RoomWish, Said, Standing, Whisper,
};
use crate::store::{Kept, Store};

/// A platform that vouches for its people, and writes down what it tells them.
struct Town {
    standings: Mutex<BTreeMap<String, Standing>>,
    is_down: AtomicBool,
    asked: AtomicUsize,
    told: Mutex<Vec<(Whisper, String)>>,
    heard: Semaphore,
}

impl Town {
    fn new() -> Self {
        Self {
            standings: Mutex::default(),
            is_down: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            told: Mutex::default(),
            heard: Semaphore::new(0),
        }
    }
}

#[async_trait]
impl Directory for Town {
    async fn standing(
        &self,
        _tenant: &str,
        user: &str,
        groups: &[String],
    ) -> Result<Standing, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Failure::transient("the directory is down"));
        }
        let standings = self.standings.lock().expect("no test panics here");
        let mut standing = standings.get(user).cloned().unwrap_or_default();
        standing.groups.retain(|group| groups.contains(group));
        Ok(standing)
    }
}

#[async_trait]
impl Chat for Town {
    async fn post(&self, _: &Place, _: &str, _: &Message) -> Result<MessageRef, Failure> {
        unreachable!("nothing is posted here")
    }
    async fn find(&self, _: &Place, _: &str) -> Result<Option<MessageRef>, Failure> {
        unreachable!("nothing is looked for here")
    }
    async fn edit(&self, _: &MessageRef, _: &Message) -> Result<(), Failure> {
        unreachable!("nothing is edited here")
    }
    async fn pin(&self, _: &MessageRef) -> Result<(), Failure> {
        unreachable!("nothing is pinned here")
    }
    async fn open_room(&self, _: &RoomWish) -> Result<Room, Failure> {
        unreachable!("no room opens here")
    }
    async fn set_topic(&self, _: &str, _: &str) -> Result<(), Failure> {
        unreachable!("no topic is set here")
    }
    async fn invite(&self, _: &str, _: &[String]) -> Result<(), Failure> {
        unreachable!("nobody is invited here")
    }
    async fn archive(&self, _: &str) -> Result<(), Failure> {
        unreachable!("nothing is archived here")
    }
    async fn whisper(&self, to: &Whisper, message: &Message) -> Result<(), Failure> {
        let text = markup::plain(&message.body);
        self.told.lock().expect("no test panics here").push((to.clone(), text));
        self.heard.add_permits(1);
        Ok(())
    }
}

struct House {
    talk: Conversation,
    town: Arc<Town>,
    _dir: tempfile::TempDir,
}

fn policy(rooms: &str) -> String {
    let policy = POLICY.replace("rooms = [{ platform = \"console\", tenant = \"local\" }]", rooms);
    let policy = policy.replace("console/local/", "slack/T1/U");
    policy.replace("title = \"Support\"", "title = \"Support\"\ngroups = [\"slack/T1/S9\"]")
}

const SLACK: &str = "rooms = [{ platform = \"slack\", tenant = \"T1\" }]";

async fn house(rooms: &str) -> House {
    house_in(tempfile::tempdir().expect("a folder"), rooms).await
}

async fn house_in(dir: tempfile::TempDir, rooms: &str) -> House {
    let town = Arc::new(Town::new());
    let talk = talk(&dir, &town).await;
    let policy = Box::new(toml::from_str(&policy(rooms)).expect("a policy"));
    let commands = [Command::Begin { jumpable: true }, Command::AdoptPolicy { policy }];
    for (n, command) in commands.into_iter().enumerate() {
        let request = Request { id: format!("start/{n}"), by: Actor::Operator, command };
        talk.engine.ask(request).await.expect("it is recorded");
    }
    House { talk, town, _dir: dir }
}

async fn talk(dir: &tempfile::TempDir, town: &Arc<Town>) -> Conversation {
    let store = Store::open(dir.path()).await.expect("a log");
    let clock = Clock::standing("2026-12-13T08:00:00Z".parse().expect("an instant"));
    let engine = Engine::start(store, clock).await.expect("an engine");
    let shelf = PlanShelf::new(vec![("web-shop".into(), PLAN.into())], None, read_plan);
    let directory: Arc<dyn Directory> = town.clone();
    let chat: Arc<dyn Chat> = town.clone();
    let platforms = Platforms {
        prefixes: BTreeMap::new(),
        chats: BTreeMap::from([("slack".to_owned(), chat)]),
        people: Arc::new(People::new(BTreeMap::from([("slack".to_owned(), directory)]))),
    };
    let (messages, _) = crate::app::words::load(None);
    Conversation::new(engine, shelf, Arc::new(messages), platforms)
}

fn heard(id: &str, user: &str, said: Said) -> Heard {
    let (platform, tenant) = ("slack".to_owned(), "T1".to_owned());
    let (handle, channel) = (Some("https://reply".to_owned()), Some("C1".to_owned()));
    Heard { id: id.to_owned(), platform, tenant, user: user.to_owned(), channel, handle, said }
}

impl House {
    async fn hears(&self, id: &str, user: &str, line: &str) -> Answered {
        self.talk.hear(heard(id, user, Said::Line(line.to_owned()))).await
    }

    /// Whichever way the answer comes.
    async fn told(&self, id: &str, user: &str, line: &str) -> String {
        match self.hears(id, user, line).await {
            Answered::Now(Reply::Private(message)) => markup::plain(&message.body),
            Answered::Now(Reply::Form(form)) => format!("form: {}", form.title),
            Answered::Later => self.whispered().await.1,
        }
    }

    async fn whispered(&self) -> (Whisper, String) {
        let told = tokio::time::timeout(Duration::from_secs(20), self.town.heard.acquire());
        told.await.expect("the answer comes").expect("nobody closes it").forget();
        self.town.told.lock().expect("no test panics here").pop().expect("it was told")
    }

    fn is(&self, user: &str, standing: Standing) {
        let mut standings = self.town.standings.lock().expect("no test panics here");
        standings.insert(user.to_owned(), standing);
    }

    fn state(&self) -> Arc<State> {
        self.talk.engine.state()
    }
}

fn in_group(name: &str) -> Standing {
    let groups = ["S9".to_owned()].into();
    Standing { groups, name: Some(name.to_owned()), ..Standing::default() }
}

#[tokio::test]
async fn a_first_click_is_kept_until_its_platform_has_vouched_for_whoever_clicked() {
    let house = house(SLACK).await;
    assert_eq!(house.hears("slack/1", "Umaria", "schedule web-shop").await, Answered::Later);
    let (to, text) = house.whispered().await;
    assert!(text.contains("Web shop v1.2.0 is scheduled"), "{text}");
    assert_eq!((to.user.as_str(), to.channel.as_deref()), ("Umaria", Some("C1")));
    assert_eq!(to.handle.as_deref(), Some("https://reply"));
    assert_eq!(house.talk.engine.store().inbox().await.expect("it reads"), []);
    // Known for a minute: now the answer comes at once, and nobody is asked again.
    let asked = house.town.asked.load(Ordering::SeqCst);
    assert!(matches!(house.hears("slack/2", "Umaria", "status").await, Answered::Now(_)));
    assert_eq!(house.town.asked.load(Ordering::SeqCst), asked);
    house.talk.engine.clock().set("2026-12-13T08:02:00Z".parse().expect("an instant"));
    assert_eq!(house.hears("slack/3", "Umaria", "status").await, Answered::Later);
    house.whispered().await;
}

#[tokio::test]
async fn the_same_click_delivered_again_acts_once() {
    let house = house(SLACK).await;
    house.told("slack/1", "Umaria", "schedule web-shop").await;
    let head = house.talk.engine.store().head();
    let again = house.told("slack/1", "Umaria", "schedule web-shop").await;
    assert!(again.contains("Web shop v1.2.0 is scheduled"), "{again}");
    assert_eq!(house.talk.engine.store().head(), head);
}

#[tokio::test]
async fn guests_and_outsiders_are_turned_down_and_it_is_on_record() {
    let house = house(SLACK).await;
    house.told("slack/1", "Umaria", "schedule web-shop").await;
    house.is("Usam", Standing { guest: true, ..Standing::default() });
    let text = house.told("slack/2", "Usam", "hold it burns").await;
    assert!(text.contains("Guests cannot act"), "{text}");
    assert!(house.state().releases.values().all(|release| release.held.is_none()));
    let said = Said::Line("hold it burns".to_owned());
    let outsider = Heard { tenant: "T2".into(), ..heard("slack/3", "Umaria", said) };
    let Answered::Now(Reply::Private(message)) = house.talk.hear(outsider).await else {
        panic!("whom nobody could let in is not looked up")
    };
    let text = markup::plain(&message.body);
    assert!(text.contains("slack/T2/Umaria"), "{text}");
}

#[tokio::test]
async fn a_group_fills_a_seat_and_its_people_need_no_line_in_the_configuration() {
    let house = house(SLACK).await;
    house.told("slack/1", "Umaria", "schedule web-shop").await;
    let stranger = house.told("slack/2", "Ueve", "go --as support").await;
    assert!(stranger.contains("slack/T1/Ueve"), "{stranger}");
    house.is("Ugina", in_group("Gina"));
    let text = house.told("slack/3", "Ugina", "go --as support").await;
    assert!(text.contains("GO"), "{text}");
    let text = house.told("slack/4", "Umaria", "status").await;
    assert!(!text.contains("slack/T1/Ugina"), "the name is shown, not the account: {text}");
    let text = house.told("slack/5", "Umaria", "audit").await;
    assert!(text.contains("Gina"), "{text}");
    // Out of the group, and a minute later: out of the seat.
    house.is("Ugina", Standing::default());
    house.talk.engine.clock().set("2026-12-13T08:02:00Z".parse().expect("an instant"));
    let text = house.told("slack/6", "Ugina", "no-go --as support \"too soon\"").await;
    assert!(text.contains("slack/T1/Ugina"), "{text}");
}

#[tokio::test]
async fn on_two_platforms_only_linked_people_sign() {
    let both = "rooms = [{ platform = \"slack\", tenant = \"T1\" }, \
                { platform = \"console\", tenant = \"local\" }]";
    let house = house(both).await;
    house.told("slack/1", "Umaria", "schedule web-shop").await;
    house.is("Ugina", in_group("Gina"));
    let text = house.told("slack/2", "Ugina", "go --as support").await;
    assert!(text.contains("I know you on one only"), "{text}");
    let text = house.told("slack/3", "Usam", "go --as support").await;
    assert!(text.contains("GO"), "{text}");
}

#[tokio::test]
async fn while_the_directory_is_down_those_named_can_hold_and_nobody_can_sign() {
    let house = house(SLACK).await;
    house.told("slack/1", "Umaria", "schedule web-shop").await;
    house.town.is_down.store(true, Ordering::SeqCst);
    let text = house.told("slack/2", "Usam", "go --as support").await;
    assert!(text.contains("did not tell me who you are"), "{text}");
    let text = house.told("slack/3", "Ugina", "hold it burns").await;
    assert!(text.contains("slack/T1/Ugina"), "{text}");
    let text = house.told("slack/4", "Usam", "hold it burns").await;
    assert!(text.contains("on hold"), "{text}");
    house.talk.engine.clock().set("2026-12-13T08:02:00Z".parse().expect("an instant"));
    let text = house.told("slack/6", "Umaria", "scrub it leaks").await;
    assert!(text.contains("did not tell me who you are"), "{text}");
    let text = house.told("slack/7", "Umaria", "rollback --reason \"it burns\"").await;
    assert!(text.contains("nothing to roll back"), "refused for what, not for who: {text}");
    house.town.is_down.store(false, Ordering::SeqCst);
    let text = house.told("slack/5", "Usam", "go --as support").await;
    assert!(text.contains("GO"), "an unknown standing is not remembered: {text}");
}

#[tokio::test]
async fn a_form_opens_at_once_and_is_authorised_when_it_comes_back() {
    let house = house(SLACK).await;
    let Answered::Now(Reply::Form(Form { command, .. })) =
        house.hears("slack/1", "Umaria", "new").await
    else {
        panic!("it opens from memory")
    };
    house.is("Umaria", Standing { guest: true, ..Standing::default() });
    house.talk.engine.clock().set("2026-12-13T08:05:00Z".parse().expect("an instant"));
    let fields = BTreeMap::from([("plan".to_owned(), "web-shop".to_owned())]);
    let answered = house.talk.hear(heard("slack/2", "Umaria", Said::Submitted { command, fields }));
    assert_eq!(answered.await, Answered::Later);
    let text = house.whispered().await.1;
    assert!(text.contains("Guests cannot act"), "{text}");
    assert!(house.state().releases.is_empty());
}

#[tokio::test]
async fn a_first_no_go_opens_its_form_and_a_wrong_person_is_told_when_it_comes_back() {
    let house = house(SLACK).await;
    house.hears("slack/1", "Umaria", "schedule web-shop").await;
    house.whispered().await;
    for (id, user, told) in [
        ("slack/2", "Uquinn", "Your NO-GO for QA is recorded"),
        ("slack/4", "Umaria", "You can't sign for QA"),
    ] {
        house.talk.engine.clock().set("2026-12-13T08:05:00Z".parse().expect("an instant"));
        let Answered::Now(Reply::Form(Form { command, .. })) =
            house.hears(id, user, "no-go v1.2.0 --as qa").await
        else {
            panic!("{user}: a reason is asked for in a form")
        };
        let fields = BTreeMap::from([("reason".to_owned(), "two bugs".to_owned())]);
        house.talk.engine.clock().set("2026-12-13T08:08:00Z".parse().expect("an instant"));
        let said = Said::Submitted { command, fields };
        let answered = house.talk.hear(heard(&format!("{id}/form"), user, said)).await;
        assert_eq!(answered, Answered::Later);
        let text = house.whispered().await.1;
        assert!(text.contains(told), "{user}: {text}");
    }
}

#[tokio::test]
async fn what_a_crash_left_in_the_inbox_is_decided_at_the_next_start_unless_it_is_too_late() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("a log");
    for (id, at, line) in [
        ("slack/1", "2026-12-13T07:30:00Z", "schedule web-shop --version v1.3.0"),
        ("slack/2", "2026-12-13T07:59:30Z", "schedule web-shop"),
    ] {
        let heard = heard(id, "Umaria", Said::Line(line.to_owned()));
        let heard = serde_json::to_string(&heard).expect("plain data");
        let kept = Kept { id: id.to_owned(), at: at.parse().expect("an instant"), heard };
        assert!(store.keep(&kept).await.expect("it is kept"));
    }
    store.close().await;
    let house = house_in(dir, SLACK).await;
    house.talk.resume().await.expect("the inbox reads");
    let mut told = [house.whispered().await.1, house.whispered().await.1];
    told.sort();
    assert!(told[0].starts_with("I was away when you asked for /release schedule"), "{told:?}");
    assert!(told[1].contains("v1.2.0 is scheduled"), "{told:?}");
    assert_eq!(house.talk.engine.store().inbox().await.expect("it reads"), []);
    let state = house.state();
    let versions: Vec<_> =
        state.releases.values().map(|release| release.plan.release.version.as_str()).collect();
    assert_eq!(versions, ["v1.2.0"], "what is long past is not done");
    let late = house.talk.engine.store().answered(&["slack/1".to_owned()]).await;
    let late = late.expect("the log reads").remove("slack/1").expect("it is on record");
    assert!(late[0].event.contains("came-too-late"), "{late:?}");
}

#[tokio::test]
async fn what_stands_at_home_has_the_names_of_people_whom_nobody_linked() {
    let mut house = house(SLACK).await;
    let plan = PLAN.replace("name = \"Web shop\"", "name = \"Shop of slack/T1/Ugina\"");
    house.talk.shelf = Arc::new(PlanShelf::new(vec![("shop".into(), plan)], None, read_plan));
    house.is("Ugina", in_group("Gina"));
    house.told("slack/1", "Umaria", "schedule shop").await;
    let home = crate::ports::Ear::home(&house.talk, "slack", "T1", "Umaria").await;
    let text = markup::plain(&home.body);
    assert!(text.contains("Shop of Gina") && !text.contains("slack/T1/Ugina"), "{text}");
}
