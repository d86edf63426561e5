//! The journal by what it promises, in a real file.
use crate::support::{exit, id, job, open};
use bytes::Bytes;
use corovan_store::{Accepted, Ended, Error, Events, Found, Journal, NewJob, Quotas, State, Store, Usage, limits};
use std::fs;

#[test]
fn a_job_is_accepted_tried_ended_once_read_and_acknowledged_also_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.accept(job(1, "me")).wait(), Ok(Accepted::New));
    assert_eq!(store.accept(job(1, "me")).wait(), Err(Error::Duplicate(id(1))));
    assert_eq!(store.begin(id(1), "a".into(), Some(50), 10).wait(), Ok(Some(1)));
    assert_eq!(store.begin(id(1), "b".into(), None, 11).wait(), Ok(None), "it runs");
    drop(store);
    let store = open(dir.path());
    let open_jobs = store.unfinished(None, 10).unwrap();
    let running = State::Running { attempt: 1, node: "a".into(), since: 10, lease: Some(50) };
    assert_eq!((open_jobs.len(), &open_jobs[0].state), (1, &running));
    assert_eq!(store.body(id(1)).unwrap().unwrap(), (Bytes::from("spec"), job(1, "me").args));
    assert_eq!(store.put_back(id(1), 1, 99, "node lost".into(), 20).wait(), Ok(true));
    assert_eq!(store.put_back(id(1), 1, 99, "node lost".into(), 20).wait(), Ok(false));
    assert_eq!(store.get(id(1)).unwrap().unwrap().state, State::Waiting { not_before: 99 });
    assert_eq!(store.begin(id(1), "b".into(), None, 30).wait(), Ok(Some(2)));
    assert_eq!(store.end(id(1), exit(1, b"late", 31)).wait(), Ok(Ended::Superseded), "of an attempt that was given up");
    assert_eq!(store.cancel(id(1), "enough".into()).wait(), Ok(true));
    assert_eq!(store.cancel(id(1), "more".into()).wait(), Ok(true));
    assert_eq!(store.result(id(1)).unwrap(), None);
    assert_eq!(store.acknowledge(id(1)).wait(), Err(Error::NotFound(id(1))), "it has not ended");
    assert_eq!(store.end(id(1), exit(2, b"value", 40)).wait(), Ok(Ended::First));
    assert_eq!(store.end(id(1), exit(2, b"other", 41)).wait(), Ok(Ended::Superseded));
    assert_eq!(store.cancel(id(1), "late".into()).wait(), Ok(false));
    drop(store);
    let store = open(dir.path());
    let (ended, value) = store.result(id(1)).unwrap().unwrap();
    assert_eq!((ended.attempt, ended.at, &ended.record[..], &value[..]), (2, 40, &b"record"[..], &b"value"[..]));
    let view = store.get(id(1)).unwrap().unwrap();
    assert_eq!((view.attempts, view.cancelled.as_deref()), (2, Some("enough")));
    assert_eq!(view.history[0].over, Some((20, "node lost".into())));
    assert_eq!(view.history[1].over, Some((40, "finished".into())));
    assert_eq!(store.unfinished(None, 10).unwrap(), []);
    assert_eq!(store.acknowledge(id(1)).wait(), Ok(()));
    assert_eq!(store.acknowledge(id(1)).wait(), Err(Error::NotFound(id(1))));
    assert_eq!((store.get(id(1)).unwrap(), store.usage("").unwrap()), (None, Usage::default()), "nothing is left");
}

#[test]
fn the_file_is_for_its_user_alone() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    assert_eq!(std::fs::metadata(dir.path().join("jobs.redb")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_key_is_one_job_of_its_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let keyed = |number: u64, tenant: &str| NewJob { key: Some("k".into()), ..job(number, tenant) };
    let same = |number: u64| NewJob { args: job(1, "").args, digest: [1; 32], ..keyed(number, "me") };
    assert_eq!(store.accept(keyed(1, "me")).wait(), Ok(Accepted::New));
    assert_eq!(store.accept(same(2)).wait(), Ok(Accepted::Known(id(1))));
    assert_eq!(store.accept(keyed(3, "me")).wait(), Err(Error::KeyReused { key: "k".into(), job: id(1) }));
    assert_eq!(store.accept(keyed(4, "other")).wait(), Ok(Accepted::New));
    assert_eq!(store.usage("me").unwrap().jobs, 1);
    store.end(id(1), exit(0, b"", 5)).wait().unwrap();
    assert_eq!(store.accept(same(5)).wait(), Ok(Accepted::Known(id(1))), "also when it has ended");
    store.acknowledge(id(1)).wait().unwrap();
    assert_eq!(store.accept(same(6)).wait(), Ok(Accepted::New));
}

#[test]
fn what_is_accepted_can_always_end_and_what_is_too_much_is_refused_and_evicts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let each = limits::JOB_COST + limits::EXIT_RESERVE + 1_000 + 14;
    let quotas = Quotas { bytes: 3 * each, tenant_bytes: 2 * each };
    let store = Store::open(dir.path().join("jobs"), quotas).unwrap();
    let wanted = |number: u64, tenant: &str| NewJob { reserve: 1_000, ..job(number, tenant) };
    for number in 1..=2 {
        store.accept(wanted(number, "me")).wait().unwrap();
    }
    let Err(Error::Quota { scope, used, limit, .. }) = store.accept(wanted(3, "me")).wait() else { panic!() };
    assert_eq!((&scope[..], used, limit), ("tenant me", 2 * each, 2 * each));
    store.accept(wanted(4, "it")).wait().unwrap();
    let Err(Error::Quota { scope, .. }) = store.accept(wanted(5, "so")).wait() else { panic!() };
    assert_eq!(scope, "this node");
    // Its value fits what was set aside; the other's does not, and nothing else is free.
    assert_eq!(store.end(id(4), exit(0, &[1; 1_000], 6)).wait(), Ok(Ended::First));
    assert_eq!(store.result(id(4)).unwrap().unwrap().1.len(), 1_000);
    assert_eq!(store.end(id(1), exit(0, &[1; 100_000], 7)).wait(), Ok(Ended::First));
    let (ended, value) = store.result(id(1)).unwrap().unwrap();
    assert_eq!((ended.dropped, ended.value, value.len()), (true, 100_000, 0));
    assert_eq!(store.usage("").unwrap().jobs, 3);
    for (what, refused) in [
        ("spec", NewJob { spec: vec![0; limits::BODY_BYTES + 1].into(), ..job(9, "me") }),
        ("key", NewJob { key: Some("k".repeat(limits::NAME_BYTES + 1)), ..job(9, "me") }),
        ("tenant", NewJob { tenant: "t".repeat(limits::NAME_BYTES + 1), ..job(9, "me") }),
        ("set aside", NewJob { reserve: u64::MAX / 2, ..job(9, "me") }),
    ] {
        let refused = store.accept(refused).wait().unwrap_err();
        assert!(matches!(&refused, Error::TooLarge { .. }) && refused.to_string().contains(what), "{refused}");
    }
    assert_eq!(store.accept(job(9, "")).wait(), Err(Error::NoTenant));
}

#[test]
fn what_a_job_says_has_numbers_and_what_was_dropped_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.accept(job(1, "me")).wait().unwrap();
    let before = store.usage("me").unwrap();
    let said = |text: &str| (1, 5, Bytes::from(text.to_owned()));
    assert_eq!(store.append(id(1), vec![said("a"), said("b")]).wait(), Ok(3));
    assert_eq!(store.append(id(1), vec![said("c")]).wait(), Ok(4));
    let page = |from: u64, limit: usize| store.events(id(1), from, limit).unwrap().unwrap();
    let texts =
        |page: &Events| page.events.iter().map(|event| (event.sequence, event.bytes.clone())).collect::<Vec<_>>();
    assert_eq!(texts(&page(0, 2)), [(1, "a".into()), (2, "b".into())]);
    assert_eq!((page(0, 2).next, page(0, 2).over), (3, false));
    assert_eq!(texts(&page(3, 9)), [(3, "c".into())]);
    assert_eq!(page(9, 9), Events { next: 9, ..Events::default() });
    let large = (2, 6, Bytes::from(vec![7; limits::EVENT_BYTES]));
    let many = limits::EVENTS_BYTES as usize / limits::EVENT_BYTES;
    assert_eq!(store.append(id(1), vec![large.clone(); many]).wait(), Ok(4 + many as u64));
    let kept = page(1, 100);
    let (_, last) = kept.gap.unwrap();
    assert_eq!(kept.gap, Some((1, 4)), "the oldest went");
    assert_eq!((kept.events[0].sequence, kept.next), (last + 1, 4 + many as u64));
    let taken = store.usage("me").unwrap().bytes - before.bytes;
    assert!(taken <= limits::EVENTS_BYTES && taken > limits::EVENTS_BYTES / 2, "{taken}");
    store.end(id(1), exit(0, b"", 7)).wait().unwrap();
    assert!(page(4 + many as u64, 9).over && !page(last, 1).over);
    assert!(matches!(store.append(id(2), vec![]).wait(), Err(Error::NotFound(_))));
    assert!(matches!(
        store.append(id(1), vec![(0, 0, vec![0; limits::EVENT_BYTES + 1].into())]).wait(),
        Err(Error::TooLarge { .. })
    ));
    drop(store);
    assert_eq!(
        open(dir.path()).events(id(1), 1, 1).unwrap().unwrap().gap,
        kept.gap,
        "it is on disk when the store is closed"
    );
}

#[test]
fn jobs_are_listed_and_found_by_their_tenant_and_old_ones_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let pending: Vec<_> = (1..=40).map(|n| store.accept(job(n, if n % 2 == 0 { "even" } else { "odd" }))).collect();
    pending.into_iter().for_each(|pending| assert_eq!(pending.wait(), Ok(Accepted::New)));
    let numbers = |after, limit| store.list("even", after, limit).unwrap().iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(numbers(None, 2), [id(2), id(4)]);
    assert_eq!(numbers(Some(id(4)), 2), [id(6), id(8)]);
    assert_eq!(store.list("even", Some(id(40)), 9).unwrap(), []);
    assert_eq!(store.find("even", &id(2).to_string()), Ok(Found::One(id(2))));
    assert_eq!(store.find("odd", &id(2).to_string()), Ok(Found::None), "another tenant's is not there");
    assert_eq!(store.find("even", &id(2).to_string()[..10].to_uppercase()), Ok(Found::One(id(2))));
    assert!(matches!(store.find("even", "0"), Ok(Found::Many(some)) if some.len() == limits::FOUND));
    assert!(store.find("even", "u").is_err());
    for number in 1..=20 {
        store.end(id(number), exit(0, b"v", number)).wait().unwrap();
    }
    assert_eq!(
        store.unfinished(Some(id(21)), 2).unwrap().iter().map(|job| job.id).collect::<Vec<_>>(),
        [id(22), id(23)]
    );
    assert_eq!(store.sweep(11).wait(), Ok(10));
    assert_eq!(store.sweep(11).wait(), Ok(0));
    assert_eq!((store.usage("").unwrap().jobs, store.result(id(10)).unwrap()), (30, None));
    assert!(store.result(id(11)).unwrap().is_some());
}

#[test]
fn what_is_no_store_or_damaged_is_told_so_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let good = {
        let store = open(dir.path());
        (1..50).for_each(|number| _ = store.accept(job(number, "me")).wait().unwrap());
        drop(store);
        fs::read(dir.path().join("jobs.redb")).unwrap()
    };
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at..at + 64].iter_mut().for_each(|byte| *byte ^= 0xff);
        bytes
    };
    // The pages that are in use: somewhere in them there is a job's row.
    let row = good.windows(4).rposition(|window| window == b"spec").unwrap();
    for (name, bytes) in [
        ("text", b"this is a text\n".repeat(1_000)),
        ("cut", good[..good.len() / 2].to_vec()),
        ("short", good[..100].to_vec()),
        ("head", flipped(0)),
        ("page", flipped(row - 32)),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, &bytes).unwrap();
        let told = Store::open(&path, Quotas::default()).map(drop).unwrap_err();
        assert!(matches!(told, Error::Damaged { .. } | Error::Foreign { .. }), "{name}: {told:?}");
        assert!(told.to_string().contains(name), "{told}");
        assert!(fs::read(&path).unwrap() == bytes, "{name} was changed");
    }
    assert!(matches!(Store::open(dir.path(), Quotas::default()).map(drop), Err(Error::Foreign { .. })), "a directory");
    let foreign = dir.path().join("foreign");
    let other = redb::Database::create(&foreign).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap();
    transaction.commit().unwrap();
    drop(other);
    assert_eq!(Store::open(&foreign, Quotas::default()).map(drop), Err(Error::Foreign { path: foreign }));
    let store = open(dir.path());
    let path = dir.path().join("jobs.redb");
    assert_eq!(Store::open(&path, Quotas::default()).map(drop), Err(Error::Locked { path }));
    assert_eq!(store.unfinished(None, 100).unwrap().len(), 49);
}
