//! What accepting costs beside a bare sync of a file; run by hand: `cargo test --release -p corovan-store speed -- --ignored --nocapture`.

use crate::support::{job, open};
use corovan_store::Journal;
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
#[ignore = "a measurement: prints, asserts nothing"]
fn speed() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let mut file = std::fs::File::create(dir.path().join("bare")).unwrap();
    let bare = median(
        (0..500)
            .map(|_| {
                let begun = Instant::now();
                file.write_all(&[1; 512]).unwrap();
                file.sync_data().unwrap();
                begun.elapsed()
            })
            .collect(),
    );
    let store = open(dir.path());
    let single = median(
        (1..500)
            .map(|number| {
                let begun = Instant::now();
                store.accept(job(number, "me")).wait().unwrap();
                begun.elapsed()
            })
            .collect(),
    );
    println!("one sync {bare:?}; one accept {single:?}, {:.2} syncs", single.as_secs_f64() / bare.as_secs_f64());
    for window in [64, 1_024, 8_192] {
        let (count, begun) = (100_000_u64, Instant::now());
        let first = window as u64 * 10_000_000;
        let mut pending = std::collections::VecDeque::new();
        for number in first..first + count {
            if pending.len() >= window {
                let oldest: corovan_store::Pending<_> = pending.pop_front().unwrap();
                oldest.wait().unwrap();
            }
            pending.push_back(store.accept(job(number, "me")));
        }
        pending.into_iter().for_each(|pending| _ = pending.wait().unwrap());
        println!("{window} at a time: {:.0} accepted/s", count as f64 / begun.elapsed().as_secs_f64());
    }
}
