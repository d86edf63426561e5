//! api_sdk: each function of the Rust SDK at least once, by interface. Shows that they do on a node what their documentation says;
//! what is not so ends the coroutine as failed, with the place.

use corovan_guest::channels::{Channel, Policy};
use corovan_guest::locks::{Condition, Event as Flag, Lock, ReentrantLock, Semaphore};
use corovan_guest::messaging::{Filter, Kind, Mailbox, Received, receive};
use corovan_guest::time::{self, Instant};
use corovan_guest::wait::{Event, wait};
use corovan_guest::{
    Address, Code, Error, Given, Outcome, Packed, SwapRequest, Value, names, self_address, set_daemon, spawn, suspend,
    suspend_bytes,
};
use std::time::Duration;

/// Makes, watches, wakes, changes and ends other coroutines.
#[corovan_guest::coroutine]
fn coroutines() -> Result<(), Error> {
    let me = self_address();
    let exit = spawn("gives").arg(42).monitor().memory(8 << 20).deadline(TIME).start()?.join(TIME)?;
    assert_eq!((exit.value::<u32>()?, exit.function.as_str(), exit.is_normal()), (42, "gives", true));
    assert_eq!(told_of(exit.address)?, Some(exit.outcome), "the spawn flag and join tell the same");
    assert_eq!(code(spawn("gives").args("no list").start()), Code::Invalid);
    assert_eq!(code(spawn("is_not_there").start()), Code::UnknownFunction);

    let other = spawn("answers").args((me,)).start()?;
    other.monitor()?;
    other.demonitor()?;
    assert_eq!(code(other.demonitor()), Code::NotFound);
    other.resume("word", TIME)?;
    assert_eq!(suspend::<String>(TIME)?, "word");
    other.resume_bytes(b"bytes", TIME)?;
    assert_eq!(suspend_bytes(TIME)?, b"bytes");
    assert_eq!(code(suspend_bytes(Duration::ZERO)), Code::Timeout);
    assert_eq!(code(other.join(Duration::ZERO)), Code::Timeout);
    let status = until_waiting(other)?;
    assert_eq!((status.function.as_str(), status.daemon, status.mailbox), ("answers", true, 0));
    other.interrupt("as asked", TIME)?;
    let exit = other.join(TIME)?;
    assert!(matches!(&exit.outcome, Outcome::Failed { text, .. } if text == "interrupted: as asked"), "{exit}");

    let late = spawn("gives_late").daemon().start()?;
    until_waiting(late)?;
    late.terminate(TIME)?;
    let Outcome::Terminated { value, .. } = late.join(TIME)?.outcome else { panic!("terminated") };
    assert_eq!(value, Given::Item(vec![7]), "what was given within the grace period");
    let exit = spawn("is_linked").start()?.join(TIME)?;
    assert!(matches!(&exit.outcome, Outcome::Terminated { by, .. } if by == "link"), "{exit}");
    Ok(())
}

/// Goes on as another function, after a refusal.
#[corovan_guest::coroutine]
fn swaps() -> Result<u32, Error> {
    let first = spawn("first").arg(20).start()?;
    assert_eq!(code(first.swap(None, "is_not_there", TIME)), Code::UnknownFunction);
    assert_eq!(code(first.swap(None, "second", TIME)), Code::SwapFailed);
    first.swap(None, "second", TIME)?;
    first.join(TIME)?.value()
}

/// Sends, requests and receives in every way.
#[corovan_guest::coroutine]
fn messages() -> Result<(), Error> {
    let me = self_address();
    let mailbox = Mailbox::<u32>::new();
    me.send(&1)?;
    me.send_tagged(7, &2, TIME)?;
    me.send_bytes(8, &[3], TIME)?;
    me.deliver(0, &4, TIME)?;
    me.deliver_bytes(0, b"\x61x", TIME)?;
    let eighth = receive(&Filter::any().tag(8).sender(me).kind(Kind::Message), TIME)?;
    assert_eq!((eighth.bytes.as_slice(), eighth.sender, eighth.reply), (&[3][..], me, None));
    assert_eq!(Mailbox::<f64>::filtered(Filter::any().tag(7)).next()?.value, 2.0);
    assert_eq!((mailbox.next()?.value, mailbox.next_within(TIME)?.map(|message| message.value)), (1, Some(4)));
    let Some(Received::Unreadable { message, why }) = mailbox.receive_within(TIME)? else { panic!("unreadable") };
    assert_eq!((message.bytes.as_slice(), why.contains("\"x\"")), (&b"\x61x"[..], true), "{why}");
    assert_eq!((mailbox.receive_within(Duration::ZERO)?, mailbox.next_within(Duration::ZERO)?), (None, None));
    assert_eq!(code(receive(&Filter::any(), Duration::ZERO)), Code::Timeout);

    let large = vec![5; 900_000];
    me.send_bytes(0, &large, TIME)?;
    me.send_bytes(0, &large[..10_000], TIME)?;
    assert_eq!(receive(&Filter::any(), TIME)?.bytes, large, "larger than any buffer that is kept");
    assert_eq!(receive(&Filter::any(), TIME)?.bytes, large[..10_000], "larger than the buffer was");
    assert_eq!(code(me.send_bytes(0, &vec![0; (1 << 20) + 1], TIME)), Code::TooLarge);

    let doubles = spawn("doubles").daemon().start()?;
    assert_eq!(doubles.request::<_, u64>(&21, TIME)?, 42);
    assert_eq!(doubles.request_tagged::<_, u64>(BYTES, &4, TIME)?, 4);
    assert_eq!(doubles.request_bytes(BYTES, b"as it is", TIME)?, b"as it is");
    assert_eq!(doubles.request_tagged::<_, u64>(TWICE, &5, TIME)?, 5);
    let Err(error) = doubles.request::<_, String>(&21, TIME) else { panic!("42 is no text") };
    assert!(error.detail.starts_with("the answer of ") && error.detail.ends_with("found 42"), "{error}");
    assert_eq!(code(doubles.request_tagged::<_, u64>(NO_ANSWER, &1, TIME)), Code::Closed);
    doubles.terminate(TIME)?;
    assert_eq!(code(doubles.send(&1)), Code::Gone);

    // One that asks nothing, one that no longer waits, and one that does: the server answers each and goes on.
    let lengths = spawn("lengths").daemon().start()?;
    lengths.send("nothing asked")?;
    assert_eq!(code(lengths.request::<_, usize>("asked in vain", Duration::ZERO)), Code::Timeout);
    assert_eq!(lengths.request::<_, usize>("four", TIME)?, 4);
    Ok(())
}

/// Timers, and waiting for the first of several things.
#[corovan_guest::coroutine]
fn timers() -> Result<(), Error> {
    let me = self_address();
    let soon = Duration::from_millis(1);
    let never = time::send_after(Duration::from_secs(3600), me, 1, &())?;
    never.cancel()?;
    time::send_after(soon, me, 2, "text")?;
    let Received::Timer { tag: 2, bytes } = Mailbox::<()>::new().receive()? else { panic!("a timer") };
    assert_eq!(corovan_guest::from_cbor::<String>(&bytes)?, "text");
    let passed = time::send_bytes_after(soon, me, 3, b"x")?;
    let third = Filter::any().tag(3);
    assert_eq!(wait(&[Event::Timer(Instant::now() + TIME), Event::Message(third)], None)?, 1);
    assert_eq!(code(passed.cancel()), Code::NotFound);
    assert_eq!(receive(&third, Duration::ZERO)?.kind, Kind::Timer, "waiting has not consumed it");

    let child = spawn("gives").arg(1).start()?;
    let events = [Event::Message(Filter::any()), Event::Exit(child)];
    assert_eq!(wait(&events, TIME)?, 1);
    assert_eq!(code(wait(&events[..1], Duration::ZERO)), Code::Timeout);
    Ok(())
}

/// Channels and names.
#[corovan_guest::coroutine]
fn broadcasts() -> Result<(), Error> {
    let me = self_address();
    let (news, sport) = (Channel::open("news")?, Channel::open("sport")?);
    assert_eq!(Channel::open("news")?, news);
    names::register("the news", news.address(), TIME)?;
    assert_eq!(code(names::register("the news", me, TIME)), Code::Taken);
    assert_eq!(Channel::at(names::locate("the news", TIME)?), news);
    names::unregister("the news")?;
    assert_eq!(code(names::locate("the news", Duration::ZERO)), Code::Timeout);

    assert_eq!(news.deliver(0, "nobody", 1, Duration::ZERO)?, 0);
    news.subscribe(sport.address(), 10, Policy::DropNewest, TIME)?;
    assert_eq!(code(sport.subscribe(news.address(), 10, Policy::DropNewest, TIME)), Code::Cycle);
    sport.subscribe(me, 2, Policy::DropOldest, TIME)?;
    for number in 0..4 {
        sport.send(&number)?;
    }
    let mailbox = Mailbox::<u32>::filtered(Filter::any().sender(sport.address()));
    assert_eq!((mailbox.next()?.value, mailbox.next()?.value), (2, 3), "the oldest were dropped");
    sport.send_tagged(5, &5, TIME)?;
    assert_eq!(mailbox.next()?.tag, 5);
    sport.send_bytes(0, &[6], TIME)?;
    assert_eq!(mailbox.next()?.value, 6);
    assert_eq!(news.deliver(0, &7, 1, TIME)?, 1, "across the sub-channel");
    assert_eq!(news.deliver_bytes(0, &[8], 1, TIME)?, 1);
    assert_eq!((Mailbox::<u32>::new().next()?.value, Mailbox::<u32>::new().next()?.value), (7, 8));
    assert_eq!(code(news.transform(None, "is_not_there")), Code::UnknownFunction);
    news.transform(None, "without_shouting")?;
    for text in ["WHAT?", "Hello"] {
        news.send(text)?;
    }
    news.without_transform()?;
    news.send("BYE")?;
    let texts = Mailbox::<String>::new();
    assert_eq!((texts.next()?.value, texts.next()?.value), ("hello".to_owned(), "BYE".to_owned()));
    sport.unsubscribe(me, TIME)?;
    assert_eq!(code(sport.unsubscribe(me, TIME)), Code::NotFound);
    sport.close()?;
    assert_eq!(code(sport.send(&9)), Code::Gone);
    news.close()
}

/// Locks of every kind, alone and with another coroutine.
#[corovan_guest::coroutine]
fn all_locks() -> Result<(), Error> {
    let (lock, turns, flag) = (Lock::open("lock")?, Semaphore::open("turns", 2)?, Flag::open("flag")?);
    let again = ReentrantLock::open("again")?;
    let held = lock.acquire(TIME)?;
    let other = spawn("waits_for_locks").start()?;
    flag.wait(TIME)?;
    assert!(flag.is_set()?);
    flag.clear()?;
    assert!(!flag.is_set()?);
    assert_eq!(code(other.join(Duration::ZERO)), Code::Timeout, "it waits for the lock");
    held.release()?;

    let condition = Condition::open("condition")?;
    let table = condition.acquire(TIME)?;
    flag.set()?;
    table.wait(TIME)?;
    assert_eq!((table.notify(1)?, table.notify_all()?), (0, 0), "nobody else waits");
    table.release()?;
    other.join(TIME)?.value::<()>()?;

    let (_outer, inner) = (again.acquire(TIME)?, again.acquire(Duration::ZERO)?);
    inner.release()?;
    turns.acquire(TIME)?.keep();
    let second = turns.acquire(TIME)?;
    assert_eq!(code(turns.acquire(Duration::ZERO)), Code::Timeout);
    second.release()?;
    turns.release()?;
    assert_eq!(code(turns.release()), Code::NotHeld);
    assert_eq!(code(Flag::open("lock")), Code::Invalid, "it is of another kind");
    Ok(())
}

/// Drops what is shouted, and says the rest quietly.
#[corovan_guest::coroutine]
fn without_shouting(_tag: u64, said: Packed<String>) -> Option<Packed<String>> {
    let Packed(text) = said;
    (text.to_uppercase() != text).then(|| Packed(text.to_lowercase()))
}

/// Returns its argument.
#[corovan_guest::coroutine]
fn gives(value: Value) -> Value {
    value
}

/// Sends back what it is woken with, until it is interrupted.
#[corovan_guest::coroutine]
fn answers(to: Address) -> Result<(), Error> {
    set_daemon(true);
    loop {
        to.resume_bytes(&suspend_bytes(None)?, None)?;
    }
}

/// Gives its value only when it is interrupted.
#[corovan_guest::coroutine]
fn gives_late() -> u8 {
    match suspend_bytes(None) {
        Ok(_) => 0,
        Err(_) => 7,
    }
}

/// Is linked to one that does not end well.
#[corovan_guest::coroutine]
fn is_linked() -> Result<(), Error> {
    spawn("is_linked_to").link().start()?;
    suspend_bytes(None).map(drop)
}

/// Does not end well.
#[corovan_guest::coroutine]
fn is_linked_to() {
    corovan_guest::fail("as-asked", "to see what becomes of others");
}

/// Refuses one swap and accepts the next.
#[corovan_guest::coroutine]
fn first(number: u32) -> Result<(), Error> {
    let next = || -> Result<SwapRequest, Error> {
        match Mailbox::<()>::new().receive()? {
            Received::Swap(request) => Ok(request),
            other => panic!("not expected: {other:?}"),
        }
    };
    next()?.refuse("not now")?;
    let request = next()?;
    assert_eq!(request.function, "second");
    Err(request.accept(&(number + 1)))
}

/// What becomes of it.
#[corovan_guest::coroutine]
fn second(number: u32) -> u32 {
    2 * number
}

/// Answers requests by their tag, and ends with one that it does not know.
#[corovan_guest::coroutine]
fn doubles() -> Result<(), Error> {
    loop {
        let request = receive(&Filter::any(), None)?;
        match request.reply {
            Some(reply) if request.tag == BYTES => reply.send_bytes(&request.bytes)?,
            Some(reply) if request.tag == TWICE => {
                // What could not be sent may be tried again; what was sent is done.
                assert_eq!(code(reply.send_bytes(&vec![0; (1 << 20) + 1])), Code::TooLarge);
                reply.send_bytes(&request.bytes)?;
                assert_eq!(code(reply.send_bytes(&request.bytes)), Code::Gone);
            }
            Some(reply) if request.tag == 0 => {
                let number: u64 = corovan_guest::from_cbor(&request.bytes)?;
                reply.typed().send(&(2 * number))?;
            }
            // It ends without an answer.
            _ => return Ok(()),
        }
    }
}

/// A server as most are.
#[corovan_guest::coroutine]
fn lengths() -> Result<(), Error> {
    let mailbox = Mailbox::<String, usize>::new();
    loop {
        let message = mailbox.next()?;
        message.answer(&message.value.len())?;
    }
}

/// Takes its part in `all_locks`.
#[corovan_guest::coroutine]
fn waits_for_locks() -> Result<(), Error> {
    let (lock, flag) = (Lock::open("lock")?, Flag::open("flag")?);
    assert_eq!(code(lock.acquire(Duration::ZERO)), Code::Timeout);
    flag.set()?;
    let _held = lock.acquire(TIME)?;
    flag.wait(TIME)?;
    // Has it, since the other waits.
    let condition = Condition::open("condition")?;
    assert_eq!(condition.acquire(TIME)?.notify(1)?, 1);
    Ok(())
}

/// How the coroutine ended, as the message says that comes to whoever monitors it.
fn told_of(address: Address) -> Result<Option<Outcome>, Error> {
    let exits = Mailbox::<()>::filtered(Filter::any().kind(Kind::Exit).sender(address));
    Ok(match exits.receive_within(TIME)? {
        Some(Received::Exit(exit)) => Some(exit.outcome),
        _ => None,
    })
}

fn until_waiting(other: Address) -> Result<corovan_guest::Status, Error> {
    loop {
        let status = other.status(TIME)?;
        if status.waiting.is_some() {
            return Ok(status);
        }
        corovan_guest::yield_now()?;
    }
}

/// The code of a call that was to fail.
#[track_caller]
fn code<T>(result: Result<T, Error>) -> Code {
    match result {
        Ok(_) => panic!("this call was to fail"),
        Err(error) => error.code,
    }
}

/// Far more than anything here takes: what waits so long has failed.
const TIME: Duration = Duration::from_secs(60);
/// Tags that `doubles` knows.
const BYTES: u64 = 1;
const NO_ANSWER: u64 = 2;
const TWICE: u64 = 3;
