//! Nodes that are stopped and started again, one after the other, while coroutines on all of them send to each other: nothing
//! comes twice, and nothing is lost of which its sender was not told.

use super::start;
use crate::nodes::NodeProcess;
use crate::process::{Place, Running, until};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Numbers that each sender delivers between two restarts.
const BETWEEN: usize = 30;

/// One node with its programs: who receives, and who sends to the others.
struct Site {
    node: NodeProcess,
    receiver: Running,
    senders: Vec<Running>,
}

/// What senders and receivers have said.
#[derive(Default)]
struct Ledger {
    /// By sender: what it was told of each number.
    ok: BTreeMap<String, BTreeSet<u64>>,
    told: BTreeMap<String, BTreeMap<u64, String>>,
    /// By sender, over all receivers.
    got: BTreeMap<String, BTreeSet<u64>>,
}

impl Site {
    /// `life`: how often the node was started before.
    fn begin(place: &Place, index: usize, life: usize, peer: Option<&str>) -> Site {
        let options = peer.map_or(Vec::new(), |peer| vec!["--peer", peer]);
        let node = place.node_named(NAMES[index], &options);
        let receiver = start(place, &node, &["tallies", &at(index), "2"]);
        let others = (0..NAMES.len()).filter(|other| *other != index);
        let senders = others.map(|other| {
            let me = format!("{}{life}to{}", NAMES[index], NAMES[other]);
            start(place, &node, &["streams", &format!("{me:?}"), &at(other), "\"the end\""])
        });
        let senders = senders.collect();
        Site { node, receiver, senders }
    }
}

impl Ledger {
    fn heard(&mut self, from: &Running) {
        let text = from.stdout.text();
        // The last line of one that was killed may be half a line.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let words: Vec<&str> = line.split(' ').collect();
            let number = || words[2].parse::<u64>().unwrap();
            let once = match words[0] {
                "ok" => self.ok.entry(words[1].into()).or_default().insert(number()),
                "told" => self.told.entry(words[1].into()).or_default().insert(number(), words[3].into()).is_none(),
                "got" if number() == 0 => true,
                "got" => self.got.entry(words[1].into()).or_default().insert(number()),
                _ => true,
            };
            assert!(once, "twice: {line}");
        }
    }
}

fn at(index: usize) -> String {
    format!("\"at {}\"", NAMES[index])
}

#[test]
fn while_each_node_is_restarted_nothing_comes_twice_and_nothing_is_lost_in_silence() {
    let place = Place::new();
    let mut sites: Vec<Site> = Vec::new();
    for index in 0..NAMES.len() {
        let peer = sites.first().map(|site| site.node.address.clone());
        sites.push(Site::begin(&place, index, 0, peer.as_deref()));
    }
    let mut ledger = Ledger::default();
    let flows = |sites: &[Site]| {
        for sender in sites.iter().flat_map(|site| &site.senders) {
            let before = sender.stdout.text().matches("ok ").count();
            until("each sender goes on", || {
                (sender.stdout.text().matches("ok ").count() >= before + BETWEEN).then_some(())
            });
        }
    };
    flows(&sites);
    for (life, (index, signal)) in
        [(1, Signal::TERM), (0, Signal::KILL), (2, Signal::TERM), (1, Signal::KILL)].into_iter().enumerate()
    {
        sites[index].node.running.signal(signal);
        let Site { node, receiver, senders } = sites.remove(index);
        node.running.wait();
        for mut program in senders.into_iter().chain([receiver]) {
            until("the program ends with its node", || program.has_ended().then_some(()));
            ledger.heard(&program);
        }
        let peer = sites[0].node.address.clone();
        sites.insert(index, Site::begin(&place, index, life + 1, Some(&peer)));
        flows(&sites);
    }
    let end = start(&place, &sites[0].node, &["answers", "\"the end\""]);
    let mut living = Vec::new();
    for mut site in sites {
        for mut program in site.senders.drain(..).chain([site.receiver]) {
            until("the program ends", || program.has_ended().then_some(()));
            ledger.heard(&program);
            living.push(program.wait());
        }
    }
    for done in living {
        done.has_code(0);
    }
    drop(end);
    let none = BTreeSet::new();
    let (mut delivered, mut told, mut lost) = (0, 0, 0);
    for (sender, ok) in &ledger.ok {
        let got = ledger.got.get(sender).unwrap_or(&none);
        let not = ledger.told.get(sender).cloned().unwrap_or_default();
        for number in ok {
            delivered += 1;
            // In the mailbox of one that was ended: its sender was told of that later, or was ended itself.
            if !got.contains(number) {
                lost += 1;
                let last = ok.iter().chain(not.keys()).max() == Some(number);
                assert!(last || not.keys().any(|later| later > number), "{sender}: {number} was lost in silence");
            }
        }
        for (number, code) in &not {
            told += 1;
            assert!(!ok.contains(number));
            let sure = !["NodeLost", "Timeout", "Interrupted"].contains(&&code[..]);
            assert!(!(sure && got.contains(number)), "{sender}: {number} came, and it was told {code}");
        }
        // Each number has one word, up to the last.
        let all: BTreeSet<u64> = ok.iter().chain(not.keys()).copied().collect();
        assert!(all.iter().copied().eq(1..=all.len() as u64), "{sender} was told nothing of some number");
        // What came was sent.
        assert!(got.iter().all(|number| *number <= all.len() as u64 + 1), "{sender}");
    }
    println!("delivered {delivered}, told otherwise {told}, of the delivered ended with their receivers {lost}");
    // By the node's life and the receiver's: whose receiver was never stopped noticed nothing of all the others.
    for sender in ["c3toa", "b4toa", "b4toc"] {
        assert!(!ledger.told.contains_key(sender), "{sender} was told {:?}", ledger.told[sender]);
        assert_eq!(ledger.got[sender], ledger.ok[sender], "{sender}");
    }
    for sender in ["a0tob", "c0tob", "c0toa", "b1toa", "a2toc", "a2tob", "c3tob"] {
        assert!(ledger.told.contains_key(sender), "{sender} was not told that its receiver was stopped");
    }
}
