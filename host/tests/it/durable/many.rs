//! Many jobs over three nodes of which two are killed and started again all the while: each ends once, and no result is another's.
//! As many as `COROVAN_JOBS` says.

use super::{prepared, results};
use crate::in_process::ECHO;
use crate::mesh::connect;
use crate::nodes::NodeProcess;
use crate::process::Place;
use corovan_client::{Arguments, Computation, DurableOptions, MapOptions, Node, Retry, Spec};
use corovan_core::wire::Outcome;
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Jobs at a time, and the share of all that are run so.
const WINDOWS: [(usize, u64); 5] = [(1, 200), (10, 50), (100, 10), (1_000, 4), (10_000, 2)];

/// What became of the attached ones.
#[derive(Default)]
struct Count {
    own: u64,
    lost: u64,
}

fn own(number: u64) -> Outcome {
    Outcome::Finished(Arguments::of(&(number,)).unwrap().as_bytes().to_vec().into())
}

async fn attached(computation: &Computation, spec: &Spec, in_flight: usize, numbers: std::ops::Range<u64>) -> Count {
    let first = numbers.start;
    let mut ended = vec![false; (numbers.end - first) as usize];
    let inputs = numbers.map(|number| Arguments::of(&(number,)).unwrap());
    let options = MapOptions { at: Some(String::new()), in_flight, ..MapOptions::default() };
    let (mut map, mut count) = (computation.map(spec, inputs, options), Count::default());
    while let Some(mapped) = map.next().await.unwrap() {
        assert!(!std::mem::replace(&mut ended[mapped.number as usize], true), "{} ended twice", mapped.number);
        match &mapped.record.outcome {
            Outcome::NodeLost(_) => count.lost += 1,
            outcome => {
                assert_eq!(*outcome, own(first + mapped.number));
                count.own += 1;
            }
        }
    }
    assert!(ended.iter().all(|ended| *ended), "some have no end");
    count
}

async fn durable(node: &Node, computation: &Computation, spec: &Spec, numbers: std::ops::Range<u64>) {
    let retry = Retry { attempts: 1_000, node_loss: true, wait: 1_000_000, ..Retry::default() };
    let mut accepting = Vec::new();
    for number in numbers.clone() {
        let options = DurableOptions { at: Some(String::new()), retry: retry.clone(), ..DurableOptions::default() };
        let arguments = Arguments::of(&(number,)).unwrap();
        accepting.push(computation.submit_durable(spec, arguments, options).await.unwrap());
    }
    let mut jobs = Vec::new();
    for accepting in accepting {
        jobs.push(accepting.await.unwrap().job);
    }
    for (number, record) in numbers.zip(results(&node.durable(), &jobs).await) {
        assert_eq!(record.outcome, own(number));
    }
}

/// Kills one and starts it again, by turns, until that is enough; how often.
async fn disturb(place: &Place, home: &str, mut nodes: Vec<NodeProcess>, mut enough: oneshot::Receiver<()>) -> usize {
    let mut kills = 0;
    loop {
        tokio::select! {
            _ = &mut enough => return kills,
            () = tokio::time::sleep(Duration::from_millis(1_500)) => {}
        }
        let victim = nodes.remove(0);
        victim.running.signal(Signal::KILL);
        tokio::task::spawn_blocking(move || victim.running.wait()).await.unwrap();
        let name = ["b", "c"][kills % 2];
        nodes.push(place.node_named(name, &["--peer", home, "--slots", "512"]));
        kills += 1;
    }
}

#[test]
fn of_many_jobs_each_ends_once_with_its_own_result_while_nodes_are_killed_and_started_again() {
    let jobs = std::env::var("COROVAN_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(100_000_u64);
    let place = Place::new();
    let home = place.node(&["--slots", "512"]);
    let others: Vec<_> =
        ["b", "c"].map(|name| place.node_named(name, &["--peer", &home.address, "--slots", "512"])).into();
    place.until_known_at(&home, &["a", "b", "c"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let node = connect(&place, &home.address, "tenant-me").await;
        let computation = node.open("many").await.unwrap();
        let spec = prepared(&computation, ECHO, "echo").await;
        let (done, enough) = oneshot::channel();
        let work = async {
            let (mut all, mut next) = (Count::default(), 0);
            let lasting = jobs / 10;
            let tenth = jobs - lasting;
            for (window, share) in WINDOWS {
                let (begin, count) = (Instant::now(), tenth / share);
                let Count { own, lost } = attached(&computation, &spec, window, next..next + count).await;
                let rate = count as f64 / begin.elapsed().as_secs_f64();
                println!("window {window}: {own} ended, {lost} lost with their nodes, {rate:.0}/s");
                next += count;
                (all.own, all.lost) = (all.own + own, all.lost + lost);
            }
            let rest = tenth.saturating_sub(next);
            let more = attached(&computation, &spec, 2_000, next..next + rest).await;
            (all.own, all.lost, next) = (all.own + more.own, all.lost + more.lost, next + rest);
            let begin = Instant::now();
            durable(&node, &computation, &spec, next..next + lasting).await;
            println!(
                "durable: {lasting} ended, each as itself, {:.0}/s",
                lasting as f64 / begin.elapsed().as_secs_f64()
            );
            let _ = done.send(());
            (all, lasting)
        };
        let ((all, lasting), kills) = tokio::join!(work, disturb(&place, &home.address, others, enough));
        println!("{kills} kills; attached: {} own results, {} lost; durable: {lasting} own results", all.own, all.lost);
        assert_eq!(all.own + all.lost + lasting, jobs);
        // What was lost was at a node that was killed, and a node runs as many at a time as it has slots.
        assert!(all.lost <= kills as u64 * 512, "{} lost in {kills} kills", all.lost);
    });
}
