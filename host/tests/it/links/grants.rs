//! What a node does for another that shows it grants: as much as the tenant's client has signed, for these nodes, and nothing
//! else. Asked of a whole node, by a peer with a good certificate.

use super::hostile::{Mallory, encoded, lane};
use crate::in_process::{Cluster, ECHO, module, prepare, run};
use corovan_client::grant::sign;
use corovan_client::{Arguments, Event, SubmitOptions};
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::link::call::{self, Call, Spawn};
use corovan_core::link::frame::{CONTROL, Decoded, Decoder, Header, Kind, Local, REPLIES};
use corovan_core::link::lane::Mark;
use corovan_core::tenancy::grant::Grant;
use corovan_core::tenancy::identity::Role;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Shows these grants, makes a call of one coroutine under each, and gives the codes of the answers.
async fn ask(cluster: &Cluster, as_node: &str, cases: &[(Vec<u8>, Call, Address)]) -> Vec<Option<Code>> {
    let mallory = Mallory::new(&cluster.authority, as_node);
    let (connection, _send, mut recv) = mallory.says(cluster.node.address(), &encoded(&mallory.hello())).await;
    recv.read_exact(&mut [0; 4]).await.unwrap();
    let records: Vec<_> = cases.iter().map(|(_, call, _)| call::encode(call).unwrap()).collect();
    let mut frames = Vec::new();
    for (index, ((grant, _, to), record)) in cases.iter().zip(&records).enumerate() {
        // Without a coroutine that calls all go in one lane; the target is looked at nevertheless.
        let (number, call) = (index as u32 + 1, index as u64 + 1);
        let header = Header { grant: number, call, to: Local::from(*to), ..Header::new(Kind::Call) };
        frames.push((header.lane(), Header { kind: Kind::Grant, call: 0, ..header }, &grant[..]));
        frames.push((header.lane(), header, &record[..]));
    }
    for number in CONTROL..18 {
        let own: Vec<_> =
            frames.iter().filter(|(at, ..)| *at == number).map(|(_, head, bytes)| (*head, *bytes)).collect();
        if !own.is_empty() {
            connection.quic.open_uni().await.unwrap().write_all(&lane(number, 1, &own)).await.unwrap();
        }
    }
    let mut answers = BTreeMap::new();
    while answers.len() < cases.len() {
        let mut stream = connection.quic.accept_uni().await.unwrap();
        let mut head = [0; Mark::SIZE];
        stream.read_exact(&mut head).await.unwrap();
        let mut decoder = Decoder::default();
        while head[0] == REPLIES && answers.len() < cases.len() {
            decoder.feed(stream.read_chunk(limits::READ_BYTES, true).await.unwrap().unwrap().bytes);
            while let Some(Decoded::Frame(frame)) = decoder.next().unwrap() {
                answers.insert(frame.header.call, Code::from_number(u16::try_from(frame.header.tag).unwrap()));
            }
        }
    }
    answers.into_values().collect()
}

#[test]
fn a_node_does_what_the_grant_that_it_is_shown_gives_and_nothing_else() {
    run(async {
        let cluster = Cluster::in_mesh(16).await;
        let [alice, bob] = ["alice", "bob"].map(|name| cluster.credentials(Role::Tenant, name).identity);
        let computation = cluster.open("alice").await;
        let spec = prepare(&computation, ECHO, "sleeps").await;
        let mut job = computation.submit(&spec, Arguments::none(), SubmitOptions::default()).await.unwrap();
        let living = loop {
            if let Some(Event::Started { address }) = job.next_event().await {
                break address;
            }
        };
        let of_alice = module(ECHO).hash();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let whole = |tenant: &str| Grant::whole("test", tenant, [1; 16], now - 10, now + 1_000);
        let rights =
            |words: &[&str]| Grant { rights: words.iter().map(|word| (*word).into()).collect(), ..whole("alice") };
        let at =
            |nodes: &[&str]| Grant { nodes: Some(nodes.iter().map(|node| (*node).into()).collect()), ..whole("alice") };
        let status = || Call::Status;
        let fetch = || Call::Module { hash: of_alice, offset: 0 };
        let spawn = || {
            Call::Spawn(Spawn {
                module: of_alice,
                function: "none".into(),
                memory: 0,
                deadline: 1 << 40,
                over: 0,
                cpu: None,
                service: None,
                most: 0,
                command: None,
                large: None,
                stdin: false,
            })
        };
        let other = Some(vec![ModuleHash([3; 32])]);
        let denied = Some(Code::Denied);
        let cases = [
            ("all of it", &alice, whole("alice"), status(), None),
            ("all of it", &alice, whole("alice"), fetch(), None),
            ("no right to send", &alice, rights(&["spawn", "names", "fetch"]), status(), denied),
            ("that right alone", &alice, rights(&["send"]), status(), None),
            ("no right to fetch", &alice, rights(&["send", "spawn", "names"]), fetch(), denied),
            ("no right to spawn", &alice, rights(&["send", "names", "fetch"]), spawn(), denied),
            ("other modules", &alice, Grant { modules: other, ..whole("alice") }, spawn(), denied),
            ("not this node", &alice, at(&["mallory"]), status(), denied),
            ("not the node that shows it", &alice, at(&["a"]), status(), denied),
            ("both", &alice, at(&["a", "mallory"]), status(), None),
            ("over", &alice, Grant { until: now - 1, ..whole("alice") }, status(), denied),
            ("of another cluster", &alice, Grant { cluster: "prod".into(), ..whole("alice") }, status(), denied),
            ("another tenant's", &bob, whole("bob"), status(), denied),
            ("a module of another tenant's", &bob, whole("bob"), fetch(), Some(Code::NeedModule)),
            ("signed by another", &bob, whole("alice"), status(), denied),
            ("of a node", &cluster.credentials(Role::Node, "x").identity, whole("x"), status(), denied),
        ];
        let mut asked: Vec<_> = cases
            .iter()
            .map(|(_, signer, grant, call, _)| (sign(signer, grant).unwrap(), call.clone(), living))
            .collect();
        asked.push((b"no grant".to_vec(), status(), living));
        let mut expected: Vec<_> = cases.iter().map(|(what, .., code)| (*what, *code)).collect();
        expected.push(("rubbish", denied));
        let answers = ask(&cluster, "mallory", &asked).await;
        let got: Vec<_> = expected.iter().map(|(what, _)| *what).zip(answers).collect();
        assert_eq!(got, expected);
    });
}

#[test]
fn who_shows_false_grants_without_end_is_not_looked_at_for_a_while_and_others_are() {
    run(async {
        let cluster = Cluster::in_mesh(16).await;
        let alice = cluster.credentials(Role::Tenant, "alice").identity;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let good = sign(&alice, &Grant::whole("test", "alice", [1; 16], now - 10, now + 1_000)).unwrap();
        let nobody =
            Address { node: cluster.node.service().dispatch.runtime().node, incarnation: 1, ..Address::default() };
        let mut cases: Vec<_> = (0..100 * limits::FALSE_GRANT_BURST)
            .map(|_| {
                let mut bytes = good.clone();
                *bytes.last_mut().unwrap() ^= 1;
                (bytes, Call::Status, nobody)
            })
            .collect();
        cases.push((good.clone(), Call::Status, nobody));
        let mut answers = ask(&cluster, "mallory", &cases).await;
        assert_eq!(answers.pop(), Some(Some(Code::Denied)));
        assert!(answers.iter().all(|code| *code == Some(Code::Denied)));
        assert_eq!(ask(&cluster, "innocent", &[(good, Call::Status, nobody)]).await, [Some(Code::Gone)]);
    });
}
